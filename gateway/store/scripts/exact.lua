-- Messages by the ids that a channel gave them. ARGV: channel, today, how many days back, id ...
-- Returns a record or false for each.
local channel, today, days = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local out = {}
for i = 4, #ARGV do
  local id
  for day = today, today - days, -1 do
    id = redis.call('HGET', 'ids:' .. channel .. ':' .. day, ARGV[i])
    if id then
      break
    end
  end
  id = id or redis.call('GET', 'u:' .. channel .. ':' .. ARGV[i]) -- as the first builds wrote it
  out[i - 3] = id and redis.call('GET', 'm:' .. id)
end
return out
