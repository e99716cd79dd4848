-- A message and what was written about its receipt. ARGV: id, today, how many days back. Returns {record, events}.
local id, today, days = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local record, events = redis.call('GET', 'm:' .. id), false
for day = today, today - days, -1 do
  events = redis.call('HGET', 'told:' .. day, id)
  if events then
    break
  end
end
return { record, events or redis.call('GET', 'e:' .. id) } -- as the first builds wrote it
