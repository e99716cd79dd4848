-- A node ends politely: what it held is free at once.
-- ARGV: time or '' for the server's own, node, its process, how many channels, channels, accounts.
local node, channels = ARGV[2], tonumber(ARGV[4])
local packed = redis.call('HGET', 'members', node)
local member = packed and cmsgpack.unpack(packed)
if not member or member[1] ~= tonumber(ARGV[3]) then
  return 0 -- another process has this name by now
end
member[2] = (tonumber(ARGV[1]) or tonumber(redis.call('TIME')[1])) - 1
redis.call('HSET', 'members', node, cmsgpack.pack(member))
for i = 5, 4 + channels do
  redis.call('HDEL', 'share:' .. ARGV[i], node)
end
for i = 5 + channels, #ARGV do
  local key = 'desk:' .. ARGV[i]
  local value = redis.call('GET', key)
  if value and string.match(value, '^%S+') == node then
    redis.call('SET', key, node .. ' 0', 'EX', 86400)
  end
end
return 1
