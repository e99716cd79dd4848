-- Which messages do reports of a channel speak of? ARGV[2]: channel; ARGV[3]: today; ARGV[4]: how many days back its ids
-- are looked for. ARGV[1]: msgpack list of
--   {ids, dest, holds, parked, strays, remote_id, report, ttl, own, anyway, numbers, patient}
--   ids     the exact id first, then its other forms
--   dest    last digits that a message found by another form must be for, and one found by the exact id should be
--   anyway  1: the exact id is believed for another number too, where nothing fits better
--   holds   lists of messages that were written and never answered, for these addresses: the number may be read in
--           two ways
--   parked  where the report waits when nothing is found; "" does not park it
--   strays  where it is then noted by its addresses
--   own     m:{id} where the report names our own id; "" where it does not
--   numbers  that it may be about: the messages to them are looked through where the ids name none that is under way.
--           An operator may give two messages one id, or return an id of both cases in another one
--   patient  1: nothing held is settled, and no id believed for another number, while some node has another message to
--           the number in its hands
-- Returns for each {record, 1 exact or 2 other form or 3 held or 4 our own id} or false.
-- What is held has the report's id from now on, and the report is parked until it is applied: a crash in between costs
-- nothing, and the report finds the same message when it comes again. One without an id leaves the message where it is,
-- behind the others.
local MOST = 100 -- messages to a number that are looked through, and reports that are noted by its addresses
local items = cmsgpack.unpack(ARGV[1])
local channel, today, days = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local out = {}

-- Our id for a channel's id.
local function owner(remote_id)
  for day = today, today - days, -1 do
    local id = redis.call('HGET', 'ids:' .. channel .. ':' .. day, remote_id)
    if id then
      return id
    end
  end
  return redis.call('GET', 'u:' .. channel .. ':' .. remote_id) -- as the first builds wrote it
end

-- Does a message's number end with these digits? What follows it in the record is its service_type, of 5 octets at most.
local function is_for(record, digits)
  for length = 0, 5 do
    if string.find(record, digits .. string.char(0xa0 + length), 1, true) then
      return true
    end
  end
  return false
end

-- The last messages to these numbers, the youngest first.
local function messages_to(numbers)
  local out = {}
  for _, number in ipairs(numbers) do
    local from, till = '[' .. number .. ':', '(' .. number .. ';'
    for day = today, today - days, -1 do
      for _, written in ipairs(redis.call('ZREVRANGEBYLEX', 'writers:' .. day, till, from, 'LIMIT', 0, MOST - #out)) do
        local id = cmsgpack.unpack(string.sub(written, #number + 10))[1] -- behind a colon and eight octets of time
        out[#out + 1] = redis.call('GET', 'm:' .. id) or nil
      end
    end
  end
  return out
end

-- Text as it stands in a record.
local function packed(text)
  return (#text < 32 and string.char(0xa0 + #text) or string.char(0xd9, #text)) .. text
end

-- Of these messages the oldest one under way that this channel gave this id, else the youngest one that has ended.
local function called(records, remote_id, any_case)
  if not remote_id or #remote_id > 255 then
    return false
  end
  local cased = any_case and string.lower or tostring
  local under_way, ended = false, false
  for _, record in ipairs(records) do
    if string.find(cased(record), cased(packed(remote_id)), 1, true) and string.find(record, packed(channel), 1, true) then
      if string.byte(record, 5) == 0 then
        under_way = record
      else
        ended = ended or record
      end
    end
  end
  return under_way or ended
end

local function is_in_hand(records)
  for _, record in ipairs(records) do
    if string.byte(record, 6) == 1 then
      return true
    end
  end
  return false
end

local function park(it)
  redis.call('SET', it[4], it[7], 'EX', it[8])
  redis.call('SET', 'parked', '1', 'EX', it[8])
end

-- A held message is settled by a report.
local function settle(id, it, hold)
  if it[4] == '' then
    redis.call('RPUSH', hold, id)
    if redis.call('TTL', hold) < 0 then -- it was the last one there
      redis.call('EXPIRE', hold, it[8])
    end
    return
  end
  local ids = 'ids:' .. channel .. ':' .. today
  redis.call('HSET', ids, it[6], id)
  redis.call('EXPIRE', ids, (days + 1) * 86400)
  park(it)
end

-- How much a packed report says: of several that come before their message is known, the one that says most is parked.
local SAYS = { sent = 1, failed = 2, delivered = 3, read = 4 }
local function weight(packed)
  local ok, report = pcall(cmsgpack.unpack, packed)
  return ok and type(report) == 'table' and SAYS[report[3]] or 0
end

for i = 1, #items do
  local it = items[i]
  local found, ended, other, named, held, numbers = false, false, false, false, it[3], it[11] or {}
  for j = 1, #it[1] do
    local id = owner(it[1][j])
    local record = id and redis.call('GET', 'm:' .. id)
    named = named or (j == 1 and record)
    if record and (it[2] == '' or is_for(record, it[2])) then
      if j > 1 or #numbers == 0 or string.byte(record, 5) == 0 then
        found = { record, j == 1 and 1 or 2 }
        break
      end
      ended = { record, 1 }
    elseif record and j == 1 and it[10] == 1 then
      other = { record, 1 }
    end
  end
  if not found and #numbers > 0 then
    local records = messages_to(numbers)
    local record = called(records, it[1][1], not named)
    if record and (not ended or string.byte(record, 5) == 0) then
      found = { record, 1 }
    end
    if it[12] == 1 and is_in_hand(records) then
      held, other = {}, false
    end
  end
  found = found or ended
  if not found and it[9] and it[9] ~= '' then
    local record = redis.call('GET', it[9])
    found = record and { record, 4 }
  end
  for j = 1, found and 0 or #held do
    local id = not found and redis.call('LPOP', held[j])
    while id do
      local record = redis.call('GET', 'm:' .. id)
      if record and string.byte(record, 5) == 0 then
        found = { record, 3 }
        settle(id, it, held[j])
        break
      end
      id = redis.call('LPOP', held[j])
    end
  end
  found = found or other
  if not found and it[4] ~= '' then
    local before = redis.call('GET', it[4])
    if not before or weight(it[7]) >= weight(before) then
      park(it)
    end
    for j = 1, #it[5] do
      if not redis.call('LPOS', it[5][j], it[6]) then
        redis.call('RPUSH', it[5][j], it[6])
        redis.call('LTRIM', it[5][j], -MOST, -1)
      end
      redis.call('EXPIRE', it[5][j], it[8])
    end
  end
  out[i] = found
end
return out
