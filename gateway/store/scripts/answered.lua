-- Receipts that an ESME has acknowledged leave their streams, and their messages' traces grow by a second key.
-- ARGV: entries the feed keeps, roughly; a packed feed entry or ""; seconds a trace is kept; then for each: stream,
-- entry, message id or "", events.
for i = 4, #ARGV, 4 do
  redis.call('XDEL', ARGV[i], ARGV[i + 1])
  if ARGV[i + 2] ~= '' then
    redis.call('SET', 'e:' .. ARGV[i + 2], ARGV[i + 3], 'EX', ARGV[3])
  end
end
if ARGV[2] ~= '' then
  redis.call('XADD', 'pombo:events', 'MAXLEN', '~', ARGV[1], '*', 'b', ARGV[2])
end
return 1
