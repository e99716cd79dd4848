-- Changes a batch of messages, each against the revision it was read at, and does what follows from each change.
-- One call is one transaction: after a crash either all of a call is there or nothing.
--
-- ARGV[1]  msgpack list: how many changes; their ids; then of each one behind the other
--            expected, ttl, record size, receipt size, events, due, into, out of, stream, unless, unless_s, commands;
--            and then each command after the number of its words
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
-- A call of the server costs more than what it does, so all records are read in one and written in one, and what goes
-- to the same key for every change (moments, hands, numbers, ids) is gathered and written once.
local items = cmsgpack.unpack(ARGV[1])
local area, at = ARGV[2], 1
local wanted = cmsgpack.unpack(ARGV[5])
local call, sub, revision = redis.call, string.sub, struct.pack
local out, events, untold = {}, 0, {}
local parked -- is any report parked at all? Asked once

local MOST = 4000 -- words of one command
local gathered = {} -- command -> key -> the words that follow them
local lives = {} -- key -> seconds, of what lives no longer than that

local function gather(command, key, word, value)
  local sets = gathered[command]
  if not sets then
    sets = {}
    gathered[command] = sets
  end
  local words = sets[key]
  if not words then
    words = {}
    sets[key] = words
  elseif #words >= MOST then
    call(command, key, unpack(words))
    words = {}
    sets[key] = words
  end
  words[#words + 1] = word
  if value then
    words[#words + 1] = value
  end
end

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

-- Somebody wrote to a number, which the writer begins with; see records.written.
function own.WROTE(_, key, ttl, writer)
  gather('ZADD', key, 0, writer)
  lives[key] = ttl
end

-- A channel gave the message an id: reports will name it. One that came before is parked, and stays so until it has
-- changed its message; nil when none did.
function own.REMOTE(id, key, ttl, remote_id, channel)
  gather('HSET', key, remote_id, id)
  lives[key] = ttl
  if parked == nil then
    parked = call('EXISTS', 'parked') == 1
  end
  return parked and call('GET', 'park:' .. channel .. ':' .. remote_id) or nil
end

local changes = items[1]
local records = {}
for i = 1, changes do
  records[i] = 'm:' .. items[i + 1]
end
local found = call('MGET', unpack(records))
local now, kept = {}, {} -- key -> its record as it is by now; and those that are still to be written
for i = 1, changes do
  now[records[i]] = found[i]
end
local j = changes + 2
for i = 1, changes do
  local key, id, expected, ttl = records[i], items[i + 1], items[j], items[j + 1]
  local receipt_at = at + items[j + 2]
  local record = sub(area, at, receipt_at - 1)
  at = receipt_at + items[j + 3]
  local before, ok, first = now[key], nil, nil
  if expected ~= 0 then
    ok = before and sub(before, 1, 4) == revision('>I4', expected)
  elseif not before then
    local unless = items[j + 9]
    first = unless ~= '' and call('GET', unless)
    if not first or first == id then
      first, ok = false, true
      if unless ~= '' then
        call('SET', unless, id, 'EX', items[j + 10])
      end
    end
  end
  local commands = items[j + 11]
  local w = j + 12
  if ok then
    now[key] = record
    if ttl > 0 then
      call('SET', key, record, 'EX', ttl)
      kept[key] = nil
    else
      kept[key] = record
    end
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
    local moment = items[j + 5]
    if moment > 0 then
      gather('ZADD', 'due', moment, id)
    elseif moment < 0 then
      gather('ZREM', 'due', id)
    end
    if items[j + 6] ~= '' then
      gather('SADD', items[j + 6], id)
    end
    if items[j + 7] ~= '' then
      gather('SREM', items[j + 7], id)
    end
    if items[j + 8] ~= '' then
      answers = answers or { 1 }
      answers[#answers + 1] = call('XADD', items[j + 8], '*', 'b', sub(area, receipt_at, at - 1))
    end
    out[i] = answers or 1
  else
    for _ = 1, commands do
      w = w + items[w] + 1
    end
    for event = events + 1, events + items[j + 4] do
      untold[event] = true
    end
    if first then
      out[i] = { 3, first }
    else
      out[i] = before == record and 2 or { 0, before }
    end
  end
  events = events + items[j + 4]
  j = w
end
local written = {}
for key, record in pairs(kept) do
  written[#written + 1] = key
  written[#written + 1] = record
end
if #written > 0 then
  call('MSET', unpack(written))
end
for _, command in ipairs({ 'ZADD', 'ZREM', 'SADD', 'SREM', 'HSET' }) do -- what came into a hand may have left it, too
  for key, words in pairs(gathered[command] or {}) do
    call(command, key, unpack(words))
  end
end
for key, ttl in pairs(lives) do
  call('EXPIRE', key, ttl)
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
