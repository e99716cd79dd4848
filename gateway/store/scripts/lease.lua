-- Takes messages from a channel's queues into a node's hands, the higher priority first.
-- ARGV: channel, how many, the node's hand key. Entries of messages that are final, gone or elsewhere are dropped.
-- Returns {waiting still, record, record ...}; the records carry their raised revision.
local channel, want, hand = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local out, left = { 0 }, 0
for priority = 0, 2 do
  local queue = 'q:' .. channel .. ':' .. priority
  while want > 0 do
    local entries = redis.call('LPOP', queue, want)
    if not entries or #entries == 0 then
      break
    end
    for i = 1, #entries do
      local id, ordinal = string.match(entries[i], '^(%S+) (%d+)$')
      local record = id and redis.call('GET', 'm:' .. id)
      if record and record ~= '' then
        local rev, final, held, at, version = struct.unpack('>I4BBBB', record)
        if final == 0 and held == 0 and at == tonumber(ordinal) then
          local head = struct.pack('>I4BBBB', rev + 1, 0, 1, at, version)
          redis.call('SETRANGE', 'm:' .. id, 0, head)
          redis.call('SADD', hand, id)
          out[#out + 1] = head .. string.sub(record, 9)
          want = want - 1
        end
      end
    end
  end
  left = left + redis.call('LLEN', queue)
end
out[1] = left
return out
