-- What has waited in a stream for too long goes. ARGV: stream, the least entry that stays, stream, entry ...
-- Returns how many went from each.
local gone = {}
for i = 1, #ARGV, 2 do
  gone[#gone + 1] = redis.call('XTRIM', ARGV[i], 'MINID', ARGV[i + 1])
end
return gone
