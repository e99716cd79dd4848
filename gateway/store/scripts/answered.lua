-- Receipts that an ESME has acknowledged leave their streams, and their messages' traces grow by what is told of them.
-- ARGV[1]  msgpack list of {stream, entry, entry ...}
-- ARGV[2]  msgpack list, one behind the other: message id, octets of its events
-- ARGV[3]  the events, all in a row
-- ARGV[4]  the day's key for them. ARGV[5]  seconds it lives
-- ARGV[6]  a packed entry for the feed, or ""
-- ARGV[7]  entries the feed keeps, roughly
for _, entries in ipairs(cmsgpack.unpack(ARGV[1])) do
  redis.call('XDEL', unpack(entries))
end
local told, at = cmsgpack.unpack(ARGV[2]), 1
for i = 2, #told, 2 do
  local size = told[i]
  told[i] = string.sub(ARGV[3], at, at + size - 1)
  at = at + size
end
if #told > 0 then
  redis.call('HSET', ARGV[4], unpack(told))
  redis.call('EXPIRE', ARGV[4], ARGV[5])
end
if ARGV[6] ~= '' then
  redis.call('XADD', 'pombo:events', 'MAXLEN', '~', ARGV[7], '*', 'b', ARGV[6])
end
return 1
