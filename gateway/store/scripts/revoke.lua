-- Takes back messages whose answer was a refusal because the store was too slow. ARGV: ids. Only what nobody touched.
local gone = 0
for i = 1, #ARGV do
  local key = 'm:' .. ARGV[i]
  local head = redis.call('GETRANGE', key, 0, 3)
  if head == '\0\0\0\1' then
    redis.call('DEL', key, 'e:' .. ARGV[i])
    redis.call('ZREM', 'due', ARGV[i])
    gone = gone + 1
  end
end
return gone
