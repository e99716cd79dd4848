-- What channels know of a person: one step of a walk over all keys. ARGV: cursor, keys a step looks at, the forms of the
-- number. Returns {cursor, key, value, key, value ...}: evidence of the person, and hidden identities that are theirs.
local forms = {}
for i = 3, #ARGV do
  forms[ARGV[i]] = true
end
local step = redis.call('SCAN', ARGV[1], 'MATCH', 'p:*', 'COUNT', ARGV[2])
local out = { step[1] }
for _, key in ipairs(step[2]) do
  local alias = string.find(key, ':@', 1, true)
  local person = string.match(key, '[^:]*$')
  local value = (alias or forms[person]) and redis.call('GET', key)
  if value and (not alias or forms[value]) then
    out[#out + 1] = key
    out[#out + 1] = value
  end
end
return out
