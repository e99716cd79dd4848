-- Entries of a stream that may name a number: one step of a walk. ARGV: the stream, where the step begins ('-' or '('
-- and an entry), entries it looks at, a pattern of the number's digits. Returns {the last entry looked at or '', entry,
-- octets, entry, octets ...}.
local rows = redis.call('XRANGE', ARGV[1], ARGV[2], '+', 'COUNT', ARGV[3])
local out = { #rows > 0 and rows[#rows][1] or '' }
for _, row in ipairs(rows) do
  if string.find(row[2][2], ARGV[4]) then
    out[#out + 1] = row[1]
    out[#out + 1] = row[2][2]
  end
end
return out
