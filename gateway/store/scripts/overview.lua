-- What waits where. ARGV: number of channels, channel names, account names.
-- Returns {unfinished, {high, normal, low, oldest record head or false} per channel, pending per account}.
local channels = tonumber(ARGV[1])
local out = { redis.call('ZCARD', 'due') }
for i = 2, channels + 1 do
  local row, oldest = {}, false
  for priority = 0, 2 do
    local queue = 'q:' .. ARGV[i] .. ':' .. priority
    row[#row + 1] = redis.call('LLEN', queue)
    local first = redis.call('LINDEX', queue, 0)
    local record = first and redis.call('GET', 'm:' .. string.match(first, '^%S+'))
    if record then
      row[#row + 1] = record
    else
      row[#row + 1] = false
    end
  end
  out[#out + 1] = row
end
for i = channels + 2, #ARGV do
  out[#out + 1] = redis.call('XLEN', 'r:' .. ARGV[i])
end
return out
