-- Changes a batch of messages, each against the revision it was read at, and does what follows from each change.
-- One call is one transaction: after a crash either all of a call is there or nothing.
--
-- ARGV[1]  msgpack list: how many changes, then of each one behind the other
--            id, expected, ttl, record size, receipt size, events, due, into, out of, stream, unless, unless_s,
--            commands; and then each command after the number of its words
--            expected   the revision that was read; 0 creates
--            ttl        seconds the record lives from now on; 0: no end
--            events     how many of ARGV[3] tell of it
--            due        when somebody has to look at the message; 0: as before, below 0: never
--            into       a hand's key that the id goes into; out of: one that it leaves; '' none
--            stream     where the receipt is appended; '' nowhere
--            unless     of a new message: a key that makes it one too many when it names another message; else it
--                       names this one from now on, for unless_s seconds; '' none
-- ARGV[2]  record and receipt of each change, all in a row
-- ARGV[3]  the entry of the feed: a msgpack list of the events of all changes in order; '' for none
-- ARGV[4]  entries the feed keeps, roughly
-- ARGV[5]  names of commands whose answer is wanted, as a msgpack map
-- Returns for each: 1 done; 2 this very change was done before; {0, record or false} somebody else was faster;
-- {1, answers ...} done, with the wanted answers in order and the receipt's place last; {3, id} nothing was done,
-- `unless` names that message.
-- Commands of our own: PART, WROTE and REMOTE, see below.
-- What goes to the same key for every change (moments, hands) is gathered and written once.
local items = cmsgpack.unpack(ARGV[1])
local area, at = ARGV[2], 1
local wanted = cmsgpack.unpack(ARGV[5])
local call, sub = redis.call, string.sub
local out, events, untold = {}, 0, {}
local due, over, into, left = {}, {}, {}, {}
local parked -- is any report parked at all? Asked once

local own = {}

-- A part of a long text has come. Its set's members when it is complete, else false.
function own.PART(_, key, total, number, id, digest, moment, ttl)
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

-- Somebody wrote to a number: newest first, no more than the given number of writers.
function own.WROTE(_, key, most, ttl, writer)
  if call('LPUSH', key, writer) > most then
    call('LTRIM', key, 0, most - 1)
  end
  call('EXPIRE', key, ttl)
end

-- A channel gave the message an id: reports will name it. One that came before is parked; nil when none did.
function own.REMOTE(id, channel, remote_id, ttl)
  local name = channel .. ':' .. remote_id
  call('SET', 'u:' .. name, id, 'EX', ttl)
  if parked == nil then
    parked = call('EXISTS', 'parked') == 1
  end
  return parked and call('GETDEL', 'park:' .. name) or nil
end

local function gather(sets, key, id)
  local set = sets[key]
  if set then
    set[#set + 1] = id
  else
    sets[key] = { id }
  end
end

local j = 2
for i = 1, items[1] do
  local id, expected, ttl = items[j], items[j + 1], items[j + 2]
  local receipt_at = at + items[j + 3]
  local key = 'm:' .. id
  local record = sub(area, at, receipt_at - 1)
  at = receipt_at + items[j + 4]
  local ok, first
  if expected == 0 then
    local unless = items[j + 10]
    first = unless ~= '' and call('GET', unless)
    if not first or first == id then
      first = false
      ok = call('SET', key, record, 'NX')
      if ok and unless ~= '' then
        call('SET', unless, id, 'EX', items[j + 11])
      end
    end
  elseif call('GETRANGE', key, 0, 3) == struct.pack('>I4', expected) then
    ok = true
    if ttl > 0 then
      call('SET', key, record, 'EX', ttl)
    else
      call('SET', key, record)
    end
  end
  local commands = items[j + 12]
  local w = j + 13
  if ok then
    local answers
    for _ = 1, commands do
      local words = items[w]
      local name = items[w + 1]
      local answer
      if own[name] then
        answer = own[name](id, unpack(items, w + 2, w + words))
      else
        answer = call(unpack(items, w + 1, w + words))
      end
      if wanted[name] and answer ~= nil then
        answers = answers or { 1 }
        answers[#answers + 1] = answer
      end
      w = w + words + 1
    end
    local moment = items[j + 6]
    if moment > 0 then
      due[#due + 1] = moment
      due[#due + 1] = id
    elseif moment < 0 then
      over[#over + 1] = id
    end
    if items[j + 7] ~= '' then
      gather(into, items[j + 7], id)
    end
    if items[j + 8] ~= '' then
      gather(left, items[j + 8], id)
    end
    if items[j + 9] ~= '' then
      answers = answers or { 1 }
      answers[#answers + 1] = call('XADD', items[j + 9], '*', 'b', sub(area, receipt_at, at - 1))
    end
    out[i] = answers or 1
  else
    for _ = 1, commands do
      w = w + items[w] + 1
    end
    for event = events + 1, events + items[j + 5] do
      untold[event] = true
    end
    if first then
      out[i] = { 3, first }
    else
      local now = call('GET', key)
      out[i] = now == record and 2 or { 0, now }
    end
  end
  events = events + items[j + 5]
  j = w
end
if #due > 0 then
  call('ZADD', 'due', unpack(due))
end
if #over > 0 then
  call('ZREM', 'due', unpack(over))
end
for key, ids in pairs(into) do
  call('SADD', key, unpack(ids))
end
for key, ids in pairs(left) do
  call('SREM', key, unpack(ids))
end
local feed = ARGV[3]
if next(untold) then -- of changes that were not made nothing is told
  local told = {}
  for event, map in ipairs(cmsgpack.unpack(feed)) do
    if not untold[event] then
      told[#told + 1] = map
    end
  end
  feed = #told > 0 and cmsgpack.pack(told) or ''
end
if feed ~= '' then
  call('XADD', 'pombo:events', 'MAXLEN', '~', ARGV[4], '*', 'b', feed)
end
return out
