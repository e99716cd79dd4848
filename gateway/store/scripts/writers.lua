-- Who wrote to a number, the newest first. ARGV: the number, today, how many days back, how many at most.
local number, today, days, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local out, head = {}, #number + 10 -- before what is asked for: the number, a colon and eight octets of time
for day = today, today - days, -1 do
  local found = redis.call('ZREVRANGEBYLEX', 'writers:' .. day, '(' .. number .. ';', '[' .. number .. ':', 'LIMIT', 0, most - #out)
  for i = 1, #found do
    out[#out + 1] = string.sub(found[i], head)
  end
  if #out >= most then
    return out
  end
end
local before = redis.call('LRANGE', 't:' .. number, 0, most - #out - 1) -- as the first builds wrote it
for i = 1, #before do
  out[#out + 1] = before[i]
end
return out
