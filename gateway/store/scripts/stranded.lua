-- What a dead node, or a channel that is no more, has in its hands. ARGV: the hand's key.
-- Returns the records; ids of messages that are final, gone or out of it are dropped from the hand.
local out = {}
for _, id in ipairs(redis.call('SMEMBERS', ARGV[1])) do
  local record = redis.call('GET', 'm:' .. id)
  local final, held = 1, 0
  if record then
    final, held = string.byte(record, 5, 6)
  end
  if final == 0 and held == 1 then
    out[#out + 1] = record
  else
    redis.call('SREM', ARGV[1], id)
  end
end
return out
