-- Messages whose next step is due. ARGV: now, how many, when another node may take them if nothing happens.
-- Returns their records; entries without a message are dropped.
local out = {}
local ids = redis.call('ZRANGEBYSCORE', 'due', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for i = 1, #ids do
  local record = redis.call('GET', 'm:' .. ids[i])
  if record then
    redis.call('ZADD', 'due', ARGV[3], ids[i])
    out[#out + 1] = record
  else
    redis.call('ZREM', 'due', ids[i])
  end
end
return out
