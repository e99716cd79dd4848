-- Changes a batch of messages, each against the revision it was read at, and does what follows from each change.
-- One call is one transaction: after a crash either all of a call is there or nothing.
--
-- ARGV[1]  msgpack list of
--          {id, expected, ttl, record size, feed size, feed count, commands [, unless, unless_s]}
--            expected   the revision that was read; 0 creates
--            ttl        seconds the record lives from now on; 0: no end
--            commands   server commands one behind the other, each after the number of its words
--            unless     of a new message: a key that makes it one too many when it names another message; else it
--                       names this one from now on, for unless_s seconds
-- ARGV[2]  record and feed entry of each item, all in a row
-- ARGV[3]  entries the feed keeps, roughly
-- ARGV[4]  names of commands whose answer is wanted, as a msgpack map
-- Returns for each: 1 done; 2 this very change was done before; {0, record or false} somebody else was faster;
-- {1, answers ...} done, with the wanted answers in order; {3, id} nothing was done, `unless` names that message.
-- Two commands are of our own: PART and WROTE, see below.
local items = cmsgpack.unpack(ARGV[1])
local area, at = ARGV[2], 1
local wanted = cmsgpack.unpack(ARGV[4])
local call, sub = redis.call, string.sub
local out, feed, count = {}, {}, 0

-- A part of a long text has come. Its set's members when it is complete, else false.
local function part_arrived(key, total, number, id, digest, due, ttl)
  local slot = call('HGET', key, number)
  if slot and sub(slot, 1, #digest) ~= digest then
    call('DEL', key) -- the reference was used again: the older parts are released one by one when due
    slot = false
  end
  call('HSET', key, number, (slot or digest) .. ' ' .. id)
  call('EXPIRE', key, ttl)
  local members = call('HGETALL', key)
  for i = 2, #members, 2 do
    for member in string.gmatch(sub(members[i], #digest + 2), '%S+') do
      call('ZADD', 'due', due, member)
    end
  end
  if #members / 2 >= total then
    return members
  end
  return false
end

-- Somebody wrote to a number: newest first, no more than the given number of writers.
local function wrote(key, most, ttl, writer)
  if call('LPUSH', key, writer) > most then
    call('LTRIM', key, 0, most - 1)
  end
  call('EXPIRE', key, ttl)
end

for i = 1, #items do
  local it = items[i]
  local key = 'm:' .. it[1]
  local record = sub(area, at, at + it[4] - 1)
  local feed_at = at + it[4]
  at = feed_at + it[5]
  local ok, first
  if it[2] == 0 then
    first = it[8] and call('GET', it[8])
    if not first or first == it[1] then
      first = false
      ok = call('SET', key, record, 'NX')
      if ok and it[8] then
        call('SET', it[8], it[1], 'EX', it[9])
      end
    end
  elseif call('GETRANGE', key, 0, 3) == struct.pack('>I4', it[2]) then
    ok = true
    if it[3] > 0 then
      call('SET', key, record, 'EX', it[3])
    else
      call('SET', key, record)
    end
  end
  if ok then
    local answers = nil
    local c = it[7]
    local j = 1
    while j <= #c do
      local last = j + c[j]
      local name = c[j + 1]
      local answer
      if name == 'WROTE' then
        wrote(unpack(c, j + 2, last))
      elseif name == 'PART' then
        answer = part_arrived(unpack(c, j + 2, last))
      else
        answer = call(unpack(c, j + 1, last))
      end
      if wanted[name] then
        answers = answers or { 1 }
        answers[#answers + 1] = answer
      end
      j = last + 1
    end
    if it[6] > 0 then
      feed[#feed + 1] = sub(area, feed_at, at - 1)
      count = count + it[6]
    end
    out[i] = answers or 1
  elseif first then
    out[i] = { 3, first }
  elseif call('GET', key) == record then
    out[i] = 2
  else
    out[i] = { 0, call('GET', key) }
  end
end
if count > 0 then
  local head
  if count < 16 then
    head = string.char(0x90 + count)
  else
    head = string.char(0xdc, math.floor(count / 256), count % 256)
  end
  call('XADD', 'pombo:events', 'MAXLEN', '~', ARGV[3], '*', 'b', head .. table.concat(feed))
end
return out
