-- Receipts that an ESME has acknowledged leave their streams, and their messages' traces grow by a second key.
-- ARGV[1]  msgpack list of {stream, entry, entry ...}
-- ARGV[2]  msgpack list, one behind the other: message id, octets of its events
-- ARGV[3]  the events, all in a row
-- ARGV[4]  seconds they are kept
-- ARGV[5]  a packed entry for the feed, or ""
-- ARGV[6]  entries the feed keeps, roughly
for _, entries in ipairs(cmsgpack.unpack(ARGV[1])) do
  redis.call('XDEL', unpack(entries))
end
local traces, at = cmsgpack.unpack(ARGV[2]), 1
for i = 1, #traces, 2 do
  local size = traces[i + 1]
  redis.call('SET', 'e:' .. traces[i], string.sub(ARGV[3], at, at + size - 1), 'EX', ARGV[4])
  at = at + size
end
if ARGV[5] ~= '' then
  redis.call('XADD', 'pombo:events', 'MAXLEN', '~', ARGV[6], '*', 'b', ARGV[5])
end
return 1
