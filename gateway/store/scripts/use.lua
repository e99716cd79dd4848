-- What senders used of a day, counted for all nodes. ARGV: key, seconds, day, count, for each. Their tallies: the first
-- day of use, the last one, and how much of that is used.
local tallies = {}
for i = 1, #ARGV, 4 do
  local day, packed, tally = tonumber(ARGV[i + 2]), redis.call('GET', ARGV[i]), { 0, 0, 0 }
  if packed then
    local well, found = pcall(cmsgpack.unpack, packed)
    if well and type(found) == 'table' and #found == 3 then
      tally = found
    end
  end
  if tally[2] < day then
    tally[2], tally[3] = day, 0
  end
  if tally[1] == 0 then
    tally[1] = day
  end
  if tally[2] == day then
    tally[3] = math.max(0, tally[3] + tonumber(ARGV[i + 3]))
  end
  packed = cmsgpack.pack(tally)
  redis.call('SET', ARGV[i], packed, 'EX', ARGV[i + 1])
  tallies[#tallies + 1] = packed
end
return tallies
