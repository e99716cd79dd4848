-- Receipts that an ESME has acknowledged leave their streams, and their messages' traces grow.
-- ARGV: entries the feed keeps, roughly; a packed feed entry or ""; then for each: stream, entry, message id, events.
for i = 3, #ARGV, 4 do
  redis.call('XDEL', ARGV[i], ARGV[i + 1])
  local id, events = ARGV[i + 2], ARGV[i + 3]
  if id ~= '' and redis.call('APPEND', 'e:' .. id, events) == #events then
    redis.call('DEL', 'e:' .. id) -- the trace had ended before
  end
end
if ARGV[2] ~= '' then
  redis.call('XADD', 'pombo:events', 'MAXLEN', '~', ARGV[1], '*', 'b', ARGV[2])
end
return 1
