-- Adds to what a sender, of all processes together, has used of its day.
-- ARGV: key, seconds it is kept, what is added as msgpack {first_day, day, used}: days are ordinals, used may be below 0.
-- Returns the whole in the same form. A later day takes the place of an earlier one; the earliest first day stays.
local first, day, used = 0, 0, 0
local packed = redis.call('GET', ARGV[1])
if packed then
  local ok, was = pcall(cmsgpack.unpack, packed)
  if ok and type(was) == 'table' and was[3] then
    first, day, used = was[1], was[2], was[3]
  end
end
local more = cmsgpack.unpack(ARGV[3])
if more[3] == 0 then
  return packed or ARGV[3]
end
if more[2] > day then
  day, used = more[2], 0
end
if first == 0 or (more[1] > 0 and more[1] < first) then
  first = more[1]
end
packed = cmsgpack.pack({ first, day, math.max(0, used + more[3]) })
redis.call('SET', ARGV[1], packed, 'EX', ARGV[2])
return packed
