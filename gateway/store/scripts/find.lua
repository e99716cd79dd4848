-- Which messages do reports of a channel speak of? ARGV[2]: channel; ARGV[3]: today; ARGV[4]: how many days back its ids
-- are looked for. ARGV[1]: msgpack list of
--   {ids, dest, holds, parked, strays, remote_id, report, ttl, own, anyway}
--   ids     the exact id first, then its other forms
--   dest    last digits that a message found by another form must be for, and one found by the exact id should be
--   anyway  1: the exact id is believed for another number too, where no other form fits better
--   holds   lists of messages that were written and never answered, for these addresses: the number may be read in
--           two ways
--   parked  where the report waits when nothing is found; "" does not park it
--   strays  where it is then noted by its addresses
--   own     m:{id} where the report names our own id; "" where it does not
-- Returns for each {record, 1 exact or 2 other form or 3 held or 4 our own id} or false.
-- What is held has the report's id from now on, and the report is parked until it is applied: a crash in between costs
-- nothing, and the report finds the same message when it comes again. One without an id leaves the message where it is,
-- behind the others.
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

local function park(it)
  redis.call('SET', it[4], it[7], 'EX', it[8])
  redis.call('SET', 'parked', '1', 'EX', it[8])
end

-- A held message is settled by a report.
local function settle(id, it, hold)
  if it[4] == '' then
    redis.call('RPUSH', hold, id)
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
  local found, other = false, false
  for j = 1, #it[1] do
    local id = owner(it[1][j])
    local record = id and redis.call('GET', 'm:' .. id)
    if record and (it[2] == '' or is_for(record, it[2])) then
      found = { record, j == 1 and 1 or 2 }
      break
    elseif record and j == 1 and it[10] == 1 then
      other = { record, 1 }
    end
  end
  found = found or other
  if not found and it[9] and it[9] ~= '' then
    local record = redis.call('GET', it[9])
    found = record and { record, 4 }
  end
  for j = 1, found and 0 or #it[3] do
    local id = not found and redis.call('LPOP', it[3][j])
    while id do
      local record = redis.call('GET', 'm:' .. id)
      if record and string.byte(record, 5) == 0 then
        found = { record, 3 }
        settle(id, it, it[3][j])
        break
      end
      id = redis.call('LPOP', it[3][j])
    end
  end
  if not found and it[4] ~= '' then
    local before = redis.call('GET', it[4])
    if not before or weight(it[7]) >= weight(before) then
      park(it)
    end
    for j = 1, #it[5] do
      redis.call('RPUSH', it[5][j], it[6])
      redis.call('EXPIRE', it[5][j], it[8])
    end
  end
  out[i] = found
end
return out
