-- Count texts by their shape. ARGV: key, seconds it lives, most shapes kept, then shape and count in turn.
for i = 4, #ARGV, 2 do
  redis.call('ZINCRBY', ARGV[1], ARGV[i + 1], ARGV[i])
end
redis.call('ZREMRANGEBYRANK', ARGV[1], 0, -ARGV[3] - 1)
redis.call('EXPIRE', ARGV[1], ARGV[2])
return 1
