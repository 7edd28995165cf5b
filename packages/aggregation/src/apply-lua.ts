// The script of `apply` (apply.ts); keys.ts names the keys. Redis does not take back what a script wrote before it
// failed, so everything is read first, with the type of every key, and `torn` stands while it writes. `#!lua` makes
// Redis refuse it at its memory limit before it begins and not in the middle.
import { tellLua } from './known-lua.ts'
import { openLua } from './lua-parts.ts'
import { sessionsLua, storeLua } from './sessions-lua.ts'

/** KEYS[1]: the pointer. ARGV[1]: the call as JSON; then for each hour its ids and those that must not be there. */
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
  local key = 'seen:' .. base .. ':' .. hour
  for first = 1, #text, 16000 do
    local ids = unpacked(text, first)
    local flags = pcall('SMISMEMBER', key, unpack(ids))
    if flags.err then wrong = key return end
    for i, id in ipairs(ids) do
      if (refuse or flags[i] == 1) and not again[id] then again[id] = true found[#found + 1] = id end
    end
  end
end
for i, hour in ipairs(a.h) do
  lookUp(hour, ARGV[2 * i], hour <= deleted)
  lookUp(hour, ARGV[2 * i + 1], false)
end
if wrong then return {'TYPE', wrong} end
if #found > 0 then return {'DUP', deleted, table.concat(found)} end

local windows = {}
for i, w in ipairs(a.w) do
  local key, fields = 'metric:' .. base .. ':' .. w[1], {'n', 'd', 'o'}
  local dims, held = w[7], {}
  for first = 1, #dims, 1000 do
    for j = first, math.min(first + 999, #dims) do fields[#fields + 1] = 'c' .. dims[j][1] end
    local got = pcall('HMGET', key, unpack(fields))
    if got.err then return {'TYPE', key} end
    if first == 1 then held.n, held.d, held.o = got[1], tonumber(got[2] or '0'), got[3] end
    local skip = first == 1 and 3 or 0
    for j = 1, #fields - skip do held[first + j - 1] = got[skip + j] end
    fields = {}
  end
  local apart, capped, is = held.d, held.o, {}
  for j, d in ipairs(dims) do
    local dim = d[1]
    if dim ~= '' and dim ~= '*' and not held[j] then
      if apart >= w[6] then dim, capped = '*', '1' else apart = apart + 1 end
    end
    is[j] = dim
    if #d[7] > 0 then
      local head = pcall('GETRANGE', 'uniq:' .. base .. ':' .. w[1] .. ':' .. dim, 0, 3)
      if type(head) == 'table' or (head ~= '' and head ~= 'HYLL') then return {'TYPE', w[1]} end
    end
  end
  windows[i] = {key = key, new = not held.n, apart = apart, capped = capped, dims = is}
end
${sessionsLua}
for _, name in ipairs({'hours', 'open', 'held', 'dirty', 'due', 'kept', 'dirty-sessions'}) do
  if not isZset(name) then return {'TYPE', name} end
end

call('HSET', meta, 'torn', a.f .. '-' .. a.t .. ' ' .. a.id)
for i, hour in ipairs(a.h) do
  for first = 1, #ARGV[2 * i], 16000 do
    call('SADD', 'seen:' .. base .. ':' .. hour, unpack(unpacked(ARGV[2 * i], first)))
  end
  if #ARGV[2 * i] > 0 then call('ZADD', 'hours:' .. base, hour, hour) end
end
local from = tonumber(m[3] or '0')
for i, w in ipairs(a.w) do
  local name, held = w[1], windows[i]
  local key = held.key
  call('HINCRBY', key, 'n', w[5])
  if held.apart > 0 then call('HSET', key, 'd', held.apart) end
  if held.capped then call('HSET', key, 'o', '1') end
  for j, d in ipairs(w[7]) do
    local dim = held.dims[j]
    call('HINCRBY', key, 'c' .. dim, d[2])
    if d[3] ~= 0 then call('HINCRBY', key, 'h' .. dim, d[3]) end
    if d[4] ~= 0 then call('HINCRBY', key, 'l' .. dim, d[4]) end
    if d[5] then
      local old = tonumber(call('HGET', key, 'm' .. dim) or nil)
      if not old or d[5] < old then call('HSET', key, 'm' .. dim, d[5]) end
    end
    if d[6] then
      local old = tonumber(call('HGET', key, 'M' .. dim) or nil)
      if not old or d[6] > old then call('HSET', key, 'M' .. dim, d[6]) end
    end
    for first = 1, #d[7], 1000 do
      call('PFADD', 'uniq:' .. base .. ':' .. name .. ':' .. dim, unpack(d[7], first, math.min(first + 999, #d[7])))
    end
    if #d[7] > 0 then call('HSET', key, 'u' .. dim, '1') end
  end
  if held.new then
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
