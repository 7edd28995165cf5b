// The script of `apply` (apply.ts); keys.ts names the keys. Redis does not take back what a script wrote before it
// failed, so everything is read first, with the type of every key, and `torn` stands while it writes. `#!lua` makes
// Redis refuse it at its memory limit before it begins and not in the middle.
import { tellLua } from './known-lua.ts'
import { openLua } from './lua-parts.ts'
import { sessionsLua, storeLua } from './sessions-lua.ts'

/**
 * KEYS[1]: the pointer. ARGV[1]: the call as JSON; then for each hour its ids and those that must not be there; then the
 * numbers and the claims of the sessions.
 */
export const applyLua = `#!lua
${openLua}
local m = call('HMGET', meta, 'stage', 'torn', 'from', 'deleted', 'layer', 'known')
local stage, live = m[1], call('GET', KEYS[1])
local isBuilding = stage == 'building' and tonumber(a.e) > tonumber(live or '0')
if not stage or not (live == a.e or isBuilding) then return {'EPOCH'} end
if m[2] then return {'BROKEN', m[2]} end
if stage == 'sealing' then return {'SEALED'} end
local at = call('HMGET', pos, 'p' .. a.p, 'c' .. a.p, 'n')
local stored = at[1] or '0'
if stored ~= a.f then
  if tonumber(a.t) <= tonumber(stored) then return {'DONE', stored} end
  return {'GAP', stored}
end
local newer = a.c > tonumber(at[2] or '-1')
local isCounted = a.p < tonumber(at[3] or '0')
if a.f == a.t then
  if not isCounted then call('HSET', pos, 'n', a.p + 1) end
  if newer then call('HSET', pos, 'c' .. a.p, a.c) end
  return {'OK'}
end

local deleted = tonumber(m[4] or '-1')
for _, o in ipairs(a.o) do
  local counted = false
  for _, hour in ipairs(o[2]) do
    counted = counted or hour <= deleted or call('SISMEMBER', 'seen:' .. base .. ':' .. hour, o[1]) == 1
  end
  if not counted then return {'REFOLD'} end
end
local function unpacked(text, first)
  local ids = {}
  local last = math.min(first + 999 * 16, #text - 15)
  for i = first, last, 16 do ids[#ids + 1] = string.sub(text, i, i + 15) end
  return ids
end
local wrong, found, again = nil, {}, {}
local function lookUp(hour, text, refuse)
  local key, chunks = 'seen:' .. base .. ':' .. hour, {}
  for first = 1, #text, 16000 do
    local ids = unpacked(text, first)
    local flags = pcall('SMISMEMBER', key, unpack(ids))
    if flags.err then wrong = key return end
    for i, id in ipairs(ids) do
      if (refuse or flags[i] == 1) and not again[id] then again[id] = true found[#found + 1] = id end
    end
    chunks[#chunks + 1] = ids
  end
  return chunks
end
local counted = {}
for i, hour in ipairs(a.h) do
  counted[i] = lookUp(hour, ARGV[2 * i], hour <= deleted)
  lookUp(hour, ARGV[2 * i + 1], false)
end
if wrong then return {'TYPE', wrong} end
if #found > 0 then return {'DUP', deleted, table.concat(found)} end

for _, v in ipairs(a.v) do
  local fields = {}
  for j, dim in ipairs(v[1]) do fields[j] = 'c' .. dim end
  v.fields = fields
end
local windows = {}
for i, w in ipairs(a.w) do
  local key, v, held = 'metric:' .. base .. ':' .. w[1], a.v[w[7]], {}
  local head = pcall('HMGET', key, 'n', 'd', 'o')
  if head.err then return {'TYPE', key} end
  local dims, members, fields, others = v[1], v[7], v.fields, {}
  local apart, capped, cap = tonumber(head[2] or '0'), head[3], w[6]
  for first = 1, #dims, 1000 do
    local got = call('HMGET', key, unpack(fields, first, math.min(first + 999, #dims)))
    for j = first, first + #got - 1 do
      local dim, old = dims[j], got[j - first + 1]
      held[j] = old
      if not old and dim ~= '' and dim ~= '*' then
        if apart >= cap then others[j], capped = true, '1' else apart = apart + 1 end
      end
    end
  end
  if members then
    for j, dim in ipairs(dims) do
      local name = w[1] .. ':' .. (others[j] and '*' or dim)
      local start = #members[j] > 0 and pcall('GETRANGE', 'uniq:' .. base .. ':' .. name, 0, 3) or ''
      if type(start) == 'table' or (start ~= '' and start ~= 'HYLL') then return {'TYPE', w[1]} end
    end
  end
  windows[i] = {key = key, new = not head[1], apart = apart, capped = capped, others = others, held = held}
end
${sessionsLua}
for _, name in ipairs({'hours', 'open', 'held', 'dirty', 'due', 'kept', 'dirty-sessions'}) do
  if not isZset(name) then return {'TYPE', name} end
end

call('HSET', meta, 'torn', a.f .. '-' .. a.t .. ' ' .. a.id)
for i, hour in ipairs(a.h) do
  for _, ids in ipairs(counted[i]) do call('SADD', 'seen:' .. base .. ':' .. hour, unpack(ids)) end
  if #counted[i] > 0 then call('ZADD', 'hours:' .. base, hour, hour) end
end
local from, exact = tonumber(m[3] or '0'), 2 ^ 53
for i, w in ipairs(a.w) do
  local name, window, v = w[1], windows[i], a.v[w[7]]
  local key, others, held, fields = window.key, window.others, window.held, v.fields
  local dims, counts, highs, lows, mins, maxs, members = unpack(v)
  call('HINCRBY', key, 'n', w[5])
  local set, rest = {}, 0
  if window.apart > 0 then set[1], set[2] = 'd', window.apart end
  if window.capped then set[#set + 1] = 'o' set[#set + 1] = '1' end
  for j, count in ipairs(counts) do
    local old = tonumber(held[j] or 0)
    if others[j] then rest = rest + count
    elseif old + count < exact then
      local n = #set
      set[n + 1], set[n + 2] = fields[j], old + count
    else call('HINCRBY', key, fields[j], count) end
  end
  inChunks('HSET', key, set)
  if rest > 0 then call('HINCRBY', key, 'c*', rest) end
  if highs or mins or maxs or members then
    for j, dim in ipairs(dims) do
      if others[j] then dim = '*' end
      if highs and highs[j] ~= 0 then call('HINCRBY', key, 'h' .. dim, highs[j]) end
      if lows and lows[j] ~= 0 then call('HINCRBY', key, 'l' .. dim, lows[j]) end
      if mins and mins[j] then
        local old = tonumber(call('HGET', key, 'm' .. dim) or nil)
        if not old or mins[j] < old then call('HSET', key, 'm' .. dim, mins[j]) end
      end
      if maxs and maxs[j] then
        local old = tonumber(call('HGET', key, 'M' .. dim) or nil)
        if not old or maxs[j] > old then call('HSET', key, 'M' .. dim, maxs[j]) end
      end
      if members and #members[j] > 0 then
        local ids = members[j]
        for first = 1, #ids, 1000 do
          local last = math.min(first + 999, #ids)
          call('PFADD', 'uniq:' .. base .. ':' .. name .. ':' .. dim, unpack(ids, first, last))
        end
        call('HSET', key, 'u' .. dim, '1')
      end
    end
  end
  if window.new then
    call('ZADD', 'open:' .. base, w[3], name)
    call('ZADD', 'held:' .. base, w[4], name)
  end
  if stage == 'live' and w[2] >= from then call('ZADD', 'dirty:' .. base, w[2], name) end
end

${tellLua}
${storeLua}
for field, count in pairs({late = a.l, closed = a.x, expired = a.r}) do
  if count > 0 then call('HINCRBY', meta, field, count) end
end
call('HSET', pos, 'p' .. a.p, a.t, 'f' .. a.p, a.a)
if newer then call('HSET', pos, 'c' .. a.p, a.c) end
if not isCounted then call('HSET', pos, 'n', a.p + 1) end
call('HDEL', meta, 'torn')
return {'OK'}`
