-- Changes a batch of messages, each against the revision it was read at, and does what follows from each change.
-- One call is one transaction: after a crash either all of a call is there or nothing.
--
-- ARGV[1]  msgpack list of {id, expected, record, ttl, events, trace_ids, feed, feed_count, commands}
--            expected   four octets of the revision that was read; "" creates
--            ttl        seconds the record lives from now on; 0: no end
--            events     appended to e:{trace_id} of every trace_id
--            commands   server commands as lists; only done when the change is
-- ARGV[2]  entries the feed keeps, roughly
-- ARGV[3]  names of commands whose answer is wanted, as a msgpack map
-- Returns for each: 1 done; 2 this very change was done before; {0, record or false} somebody else was faster;
-- {1, answers ...} done, with the wanted answers in order.
local items = cmsgpack.unpack(ARGV[1])
local wanted = cmsgpack.unpack(ARGV[3])
local out, feed, count = {}, {}, 0

local function part_arrived(key, total, number, id, digest, due, ttl)
  local slot = redis.call('HGET', key, number)
  if slot and string.sub(slot, 1, #digest) ~= digest then
    redis.call('DEL', key) -- the reference was used again: the older parts are released one by one when due
    slot = false
  end
  redis.call('HSET', key, number, (slot or digest) .. ' ' .. id)
  redis.call('EXPIRE', key, ttl)
  local members = redis.call('HGETALL', key)
  for i = 2, #members, 2 do
    for member in string.gmatch(string.sub(members[i], #digest + 2), '%S+') do
      redis.call('ZADD', 'due', due, member)
    end
  end
  if #members / 2 >= total then
    return members
  end
  return false
end

for i = 1, #items do
  local it = items[i]
  local key = 'm:' .. it[1]
  local now = redis.call('GETRANGE', key, 0, 3)
  if now == it[2] then
    if it[4] > 0 then
      redis.call('SET', key, it[3], 'EX', it[4])
    else
      redis.call('SET', key, it[3])
    end
    if it[5] ~= '' then
      local ids = it[6]
      for j = 1, #ids do
        local size = redis.call('APPEND', 'e:' .. ids[j], it[5])
        if it[4] > 0 then
          redis.call('EXPIRE', 'e:' .. ids[j], it[4])
        end
      end
    end
    local answers = nil
    local commands = it[9]
    for j = 1, #commands do
      local command = commands[j]
      local answer
      if command[1] == 'PART' then
        answer = part_arrived(command[2], command[3], command[4], command[5], command[6], command[7], command[8])
      else
        answer = redis.call(unpack(command))
      end
      if wanted[command[1]] then
        answers = answers or { 1 }
        answers[#answers + 1] = answer
      end
    end
    if it[8] > 0 then
      feed[#feed + 1] = it[7]
      count = count + it[8]
    end
    out[i] = answers or 1
  elseif redis.call('GET', key) == it[3] then
    out[i] = 2
  else
    out[i] = { 0, redis.call('GET', key) }
  end
end
if count > 0 then
  local head
  if count < 16 then
    head = string.char(0x90 + count)
  else
    head = string.char(0xdc, math.floor(count / 256), count % 256)
  end
  redis.call('XADD', 'pombo:events', 'MAXLEN', '~', ARGV[2], '*', 'b', head .. table.concat(feed))
end
return out
