-- What waits where. ARGV: number of channels, channel names, account names.
-- Returns {unfinished, {high, normal, low, oldest record head or false} per channel, pending per account}.
-- Entries of messages that wait there no more, as after a cancel, are dropped from the front of a queue: of a short one all
-- are, of a long one some of those further behind still count.
local PIECE, PIECES = 256, 16
local call = redis.call

-- Does an entry stand for a message that waits? As in lease.lua.
local function waits(entry)
  local id, ordinal = string.match(entry, '^(%S+) (%d+)$')
  local head = id and call('GETRANGE', 'm:' .. id, 0, 6)
  if not head or #head < 7 then
    return false
  end
  local final, held, at = string.byte(head, 5, 7)
  return final == 0 and held == 0 and at == tonumber(ordinal)
end

-- The first entry of a queue that stands for a message; false where none was found among those that were looked at.
local function oldest(queue)
  for _ = 1, PIECES do
    local entries, waiting = call('LRANGE', queue, 0, PIECE - 1), {}
    for i = #entries, 1, -1 do
      if waits(entries[i]) then
        waiting[#waiting + 1] = entries[i]
      end
    end
    if #waiting < #entries then
      call('LTRIM', queue, #entries, -1)
      if #waiting > 0 then
        call('LPUSH', queue, unpack(waiting))
      end
    end
    if #waiting > 0 or #entries == 0 then
      return waiting[#waiting] or false
    end
  end
  return false
end

local channels = tonumber(ARGV[1])
local out = { call('ZCARD', 'due') }
for i = 2, channels + 1 do
  local row = {}
  for priority = 0, 2 do
    local queue = 'q:' .. ARGV[i] .. ':' .. priority
    local first = oldest(queue)
    row[#row + 1] = call('LLEN', queue)
    row[#row + 1] = first and call('GET', 'm:' .. string.match(first, '^%S+'))
  end
  out[#out + 1] = row
end
for i = channels + 2, #ARGV do
  out[#out + 1] = call('XLEN', 'r:' .. ARGV[i])
end
return out
