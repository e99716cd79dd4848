-- Changes a batch of messages, each against the revision it was read at, and does what follows from the changes: all of
-- it, or nothing when one of the messages is not as it was read. One call is one transaction: after a crash, too, either
-- all of a call is there or nothing. gateway/store/batch.py puts the words together; here they are only said.
--
-- ARGV[1]  msgpack list of
--   ids       of the messages
--   sizes     octets of each one's record
--   lives     seconds each one's record lives from now on; 0: no end
--   unless    of new messages, {which change, key, seconds} one behind the other: the message is one too many when the
--             key names another one; else the key names this one from now on, for so many seconds
--   commands  each {which change wants its answer (0: none), words ...}; of our own is PART, see below
--   receipts  {which change, stream, octets} one behind the other: a receipt is appended there
--   sets      {words ...}: commands that write for many changes at once
--   named     {which change, channel, the channel's id} one behind the other: is a report of that id parked?
-- ARGV[2]  the revision each message was read at, four octets; 0: it is new
-- ARGV[3]  the records and then the receipts, all in a row
-- ARGV[4]  the entry of the feed; '' for none. ARGV[5]  entries the feed keeps, roughly
--
-- Returns 1 when all is done; {1, which change, answer, ...} when it is and something was wanted: of a change its parked
-- reports, then answers in the order of their commands, and last the place of its receipt.
-- {0, which change, why, what, ...} when nothing was done, for each that stood in the way, why being
--   0 somebody else was faster: the record as it is, or false; 2 this very change was done before; 3 `unless` names the
--   message `what`.
local ids, sizes, lives, unless, commands, receipts, sets, named = unpack(cmsgpack.unpack(ARGV[1]))
local read, area, at = ARGV[2], ARGV[3], 1
local call, sub = redis.call, string.sub

local keys, records = {}, {}
for i = 1, #ids do
  keys[i] = 'm:' .. ids[i]
  records[i] = sub(area, at, at + sizes[i] - 1)
  at = at + sizes[i]
end

local found = call('MGET', unpack(keys))
local now, late = {}, { 0 }
for i = 1, #keys do
  local key, expected = keys[i], sub(read, 4 * i - 3, 4 * i)
  local before = now[key] or found[i]
  if expected == (before and sub(before, 1, 4) or '\0\0\0\0') then
    now[key] = records[i]
  else
    late[#late + 1] = i
    late[#late + 1] = before == records[i] and 2 or 0
    late[#late + 1] = before
  end
end
local first = {} -- key of `unless` -> the message it names
for j = 1, #unless, 3 do
  local key, id = unless[j + 1], ids[unless[j]]
  local other = first[key] or call('GET', key)
  if other and other ~= id and not found[unless[j]] then
    late[#late + 1] = unless[j]
    late[#late + 1] = 3
    late[#late + 1] = other
  else
    first[key] = id
  end
end
if #late > 1 then
  return late
end

-- A part of a long text has come. Its set's members when it is complete, else false.
local function part(key, total, number, id, digest, moment, ttl)
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
      call('ZADD', 'due', moment, member)
    end
  end
  if #members / 2 >= total then
    return members
  end
  return false
end

local out = { 1 }
local written, final = {}, {}
for i = 1, #keys do
  if lives[i] == 0 then
    written[#written + 1] = keys[i]
    written[#written + 1] = records[i]
  else
    final[#final + 1] = i
  end
end
if #written > 0 then
  call('MSET', unpack(written))
end
for _, i in ipairs(final) do
  call('SET', keys[i], records[i], 'EX', lives[i])
end
for j = 1, #unless, 3 do
  call('SET', unless[j + 1], ids[unless[j]], 'EX', unless[j + 2])
end
if #named > 0 and call('EXISTS', 'parked') == 1 then
  for j = 1, #named, 3 do
    local report = call('GET', 'park:' .. named[j + 1] .. ':' .. named[j + 2])
    if report then
      out[#out + 1] = named[j]
      out[#out + 1] = report
    end
  end
end
for _, words in ipairs(commands) do
  local answer
  if words[2] == 'PART' then
    answer = part(unpack(words, 3))
  else
    answer = call(unpack(words, 2))
  end
  if words[1] > 0 then
    out[#out + 1] = words[1]
    out[#out + 1] = answer
  end
end
for j = 1, #receipts, 3 do
  local octets = receipts[j + 2]
  out[#out + 1] = receipts[j]
  out[#out + 1] = call('XADD', receipts[j + 1], '*', 'b', sub(area, at, at + octets - 1))
  at = at + octets
end
for _, words in ipairs(sets) do
  call(unpack(words))
end
if ARGV[4] ~= '' then
  call('XADD', 'pombo:events', 'MAXLEN', '~', ARGV[5], '*', 'b', ARGV[4])
end
return #out > 1 and out or 1
