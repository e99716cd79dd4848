-- Values with an end. ARGV: key, seconds, value, for each.
for i = 1, #ARGV, 3 do
  redis.call('SET', ARGV[i], ARGV[i + 2], 'EX', ARGV[i + 1])
end
return 1
