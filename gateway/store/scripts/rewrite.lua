-- Another word in the place of an entry of a stream, at its end: entries cannot be changed. ARGV: the stream, the entry,
-- octets. 1, or 0 when the entry is gone already.
if redis.call('XDEL', ARGV[1], ARGV[2]) == 0 then
  return 0
end
redis.call('XADD', ARGV[1], '*', 'b', ARGV[3])
return 1
