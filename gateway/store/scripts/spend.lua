-- Of a budget that all nodes share, what is left: never more than so much in any window of time.
-- ARGV: the time or '' for the server's own, key, seconds of the window, how much in it, how much is wanted.
-- Returns how much there is of that, and for how many seconds nothing is left then, as text.
-- The key holds moments and what was spent until each, the moments rounded up to the 60th part of a window.
local now, window = tonumber(ARGV[1]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1000000
end
local slice = window / 60
local moment = math.ceil(now / slice) * slice
local packed, spent, left = redis.call('GET', ARGV[2]), {}, tonumber(ARGV[4])
if packed then
  local well, found = pcall(cmsgpack.unpack, packed)
  for i = 1, well and type(found) == 'table' and #found or 0, 2 do
    local at = math.min(found[i], moment) -- the clock may have been set back
    if at > now - window then
      spent[#spent + 1], spent[#spent + 2] = at, found[i + 1]
      left = left - found[i + 1]
    end
  end
end
local granted = math.max(0, math.min(left, tonumber(ARGV[5])))
if granted > 0 then
  if spent[#spent - 1] == moment then
    spent[#spent] = spent[#spent] + granted
  else
    spent[#spent + 1], spent[#spent + 2] = moment, granted
  end
end
if #spent > 0 then
  redis.call('SET', ARGV[2], cmsgpack.pack(spent), 'EX', math.ceil(window + slice))
end
local closed = left - granted <= 0 and spent[1] and spent[1] + window - now or 0
return { granted, string.format('%.3f', closed) }
