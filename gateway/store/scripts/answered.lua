-- Receipts that an ESME has acknowledged leave their streams.
-- ARGV: entries the feed keeps, roughly; a packed feed entry or ""; then for each: stream, entry, message id, events.
for i = 3, #ARGV, 4 do
  redis.call('XDEL', ARGV[i], ARGV[i + 1])
  local id = ARGV[i + 2]
  if id ~= '' and redis.call('EXISTS', 'e:' .. id) == 1 then
    redis.call('APPEND', 'e:' .. id, ARGV[i + 3])
  end
end
if ARGV[2] ~= '' then
  redis.call('XADD', 'pombo:events', 'MAXLEN', '~', ARGV[1], '*', 'b', ARGV[2])
end
return 1
