-- Keeps an inbound text once. ARGV: key that remembers it or "", seconds, stream, packed text. Its entry, or false.
if ARGV[1] ~= '' and not redis.call('SET', ARGV[1], '1', 'NX', 'EX', ARGV[2]) then
  return false
end
return redis.call('XADD', ARGV[3], '*', 'b', ARGV[4])
