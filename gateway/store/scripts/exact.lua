-- Messages by the ids that channels gave them. ARGV: u:{channel}:{id} ... Returns a record or false for each.
local out = {}
for i = 1, #ARGV do
  local id = redis.call('GET', ARGV[i])
  out[i] = id and redis.call('GET', 'm:' .. id)
end
return out
