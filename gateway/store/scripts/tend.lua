-- A node renews its lease on everything it holds and learns how the others are.
-- ARGV[1]  the time, or '' for the server's own
-- ARGV[2]  the node's name
-- ARGV[3]  msgpack {instance, lease_s, alone, patient, channels, rates, wants, frees, accounts}
--            instance   which process of that name this is
--            alone      nobody else can be alive
--            patient    it has been here long enough for every living node to have renewed: what ran out may be taken
--            channels   list of {name, kind}
--            rates      list of {name, up, rate, using}, each an operator's or a sender's; using is what it may use now
--            wants, frees  accounts whose receipts it wants to write, or has done with; accounts: all it knows
-- Returns {lapsed, ousted, left, orphans, elsewhere, shares, desks, held, before, now}
--   lapsed   1: its own lease had run out. ousted  1: another process has this name
--   left     'node channel kind' of hands that hold something and whose node, or channel there, is no more
--   orphans  'channel kind' of channels that no node has and for which something waits
--   elsewhere  'channel kind' of channels of other nodes
--   shares   how much is this node's, as text, for each of rates
--   desks    for each of wants: 0 another node's, 1 still this one's, 2 this one's from now on
--   held     accounts of other living nodes
--   before   when the lease would have ended that this process had until now, '' when it is not known; now: the time
-- A node that is dead keeps its channels for an hour: it may come back and have them still.
local FORGET_S = 3600
local call = redis.call
local node, it = ARGV[2], cmsgpack.unpack(ARGV[3])
local instance, lease_s, alone, patient, channels, rates, wants, frees, accounts = unpack(it)
local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] + time[2] / 1000000
end
local ends = now + lease_s

-- who is alive, and with which channels
local alive, has, kinds = {}, {}, {}
local lapsed, ousted, younger, before = 0, 0, true, ''
local members = call('HGETALL', 'members')
for i = 1, #members, 2 do
  local name, member = members[i], cmsgpack.unpack(members[i + 1])
  if name == node then
    if member[1] ~= instance and member[1] > instance then
      ousted = 1
    elseif member[2] < now then
      lapsed = 1
    end
    younger = member[1] ~= instance
    if not younger then
      before = string.format('%.3f', member[2])
    end
  elseif alone or member[2] < now - FORGET_S then
    call('HDEL', 'members', name)
  else
    alive[name] = member[2] >= now or not patient -- not patient: the store may have been away for all of us
    for _, one in ipairs(member[3]) do
      has[string.match(one, '^%S+')] = true
      kinds[one] = true
    end
  end
end
if ousted == 1 then
  return { 0, 1, {}, {}, {}, {}, {}, {}, '', '' }
end
if younger and tonumber(call('GET', 'nodes') or 0) < instance then
  call('SET', 'nodes', instance) -- the store has lost the number, and would give a smaller one to a younger process
end
local mine, own = {}, {}
for i, channel in ipairs(channels) do
  mine[channel[1]] = true
  own[i] = channel[1] .. ' ' .. channel[2]
  kinds[own[i]] = nil
  call('SADD', 'hands', node .. ' ' .. own[i])
end
call('HSET', 'members', node, cmsgpack.pack({ instance, ends, own }))
local elsewhere = {}
for one in pairs(kinds) do
  elsewhere[#elsewhere + 1] = one
end

-- what is nobody's any more
local left, orphans, seen = {}, {}, {}
local hands = call('SMEMBERS', 'hands')
for i = 1, #hands do
  local owner, channel, kind = string.match(hands[i], '^(%S+) (%S+) (%S+)$')
  local gone
  if owner == node then
    gone = not mine[channel]
  else
    gone = not alive[owner]
  end
  if gone then
    local waits = false
    if not mine[channel] and not has[channel] then
      for priority = 0, 2 do
        waits = waits or call('EXISTS', 'q:' .. channel .. ':' .. priority) == 1
      end
    end
    if call('EXISTS', 'hand:' .. owner .. ':' .. channel) == 1 then
      left[#left + 1] = hands[i]
    elseif not waits then
      call('SREM', 'hands', hands[i])
    end
    if waits and not seen[channel] then
      seen[channel] = true
      orphans[#orphans + 1] = channel .. ' ' .. kind
      call('SADD', 'hands', node .. ' ' .. channel .. ' ' .. kind) -- it comes into this node's hands first
    end
  end
end

-- each living node that can use a rate gets an equal share of it, in whole segments per second; never more than the
-- others do not hold. What a node may still be using until it hears of a smaller share counts as held.
local shares = {}
for i, one in ipairs(rates) do
  local name, up, rate, using = one[1], one[2], one[3], one[4]
  local grant = 0
  if rate > 0 then
    local key = 'share:' .. name
    local taken, count, rank = 0, up and 1 or 0, 0
    local holders = call('HGETALL', key)
    for j = 1, #holders, 2 do
      if holders[j] ~= node then
        local held, is_up, till = string.match(holders[j + 1], '^(%S+) (%S+) (%S+)$')
        if tonumber(till) < now then
          call('HDEL', key, holders[j])
        else
          taken = taken + tonumber(held)
          if is_up == '1' then
            count = count + 1
            rank = rank + (holders[j] < node and 1 or 0)
          end
        end
      end
    end
    if up then
      local whole = math.floor(rate)
      local fair = rate
      if count > 1 and whole >= 1 then
        fair = math.floor(whole / count) + (rank < whole % count and 1 or 0)
      elseif count > 1 then
        fair = rank == 0 and rate or 0
      end
      grant = math.max(0, math.min(fair, rate - taken))
      if grant < fair and whole >= 1 then
        grant = math.floor(grant + 0.000001)
      end
    end
    local held = math.max(grant, using)
    if held > 0 or up then
      call('HSET', key, node, string.format('%.6f %d %.3f', held, up and 1 or 0, ends))
      call('EXPIRE', key, 3600)
    else
      call('HDEL', key, node)
    end
  end
  shares[i] = string.format('%.6f', grant)
end

-- whose receipts it may write
local function holder_of(account)
  local value = call('GET', 'desk:' .. account)
  if value then
    local who, till = string.match(value, '^(%S+) (%S+)$')
    return who, tonumber(till)
  end
end
local function take(account, till)
  call('SET', 'desk:' .. account, string.format('%s %.3f', node, till), 'EX', 86400)
end

local desks, held = {}, {}
if younger then -- than what had this name before: what that one wrote nobody writes now
  for _, account in ipairs(accounts) do
    if holder_of(account) == node then
      take(account, 0)
    end
  end
end
for _, account in ipairs(frees) do
  if holder_of(account) == node then
    take(account, 0)
  end
end
for i, account in ipairs(wants) do
  local who, till = holder_of(account)
  if who == node then
    desks[i] = 1
  elseif not who or till == 0 or (till < now and patient) then
    desks[i] = 2
  else
    desks[i] = 0
  end
  if desks[i] > 0 then
    take(account, ends)
  end
end
for _, account in ipairs(accounts) do
  local who, till = holder_of(account)
  if who and who ~= node and till >= now then
    held[#held + 1] = account
  end
end
return { lapsed, 0, left, orphans, elsewhere, shares, desks, held, before, string.format('%.3f', now) }
