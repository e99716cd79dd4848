-- Takes back messages whose answer was a refusal because the store was too slow. Only what nobody touched.
-- ARGV: ids, each alone or before a space and the key that would call the next message of its text a repetition.
local gone = 0
for i = 1, #ARGV do
  local id, unless = string.match(ARGV[i], '^(%S+) ?(%S*)$')
  local key = 'm:' .. id
  local head = redis.call('GETRANGE', key, 0, 3)
  if head == '\0\0\0\1' then
    redis.call('DEL', key)
    redis.call('ZREM', 'due', id)
    if unless ~= '' and redis.call('GET', unless) == id then
      redis.call('DEL', unless)
    end
    gone = gone + 1
  end
end
return gone
