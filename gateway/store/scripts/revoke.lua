-- Takes back a message whose answer was a refusal because the store was too slow, unless somebody has touched it.
-- ARGV: its id; the key that would call the next message of its text a repetition, or ''; the hand it came into, or ''.
local id, unless, hand = unpack(ARGV)
if redis.call('GETRANGE', 'm:' .. id, 0, 3) ~= '\0\0\0\1' then
  return 0
end
redis.call('DEL', 'm:' .. id)
redis.call('ZREM', 'due', id)
if unless ~= '' and redis.call('GET', unless) == id then
  redis.call('DEL', unless)
end
if hand ~= '' then
  redis.call('SREM', hand, id)
end
return 1
