// The scripts of `close` and `remove` (close.ts). They must run when memory is full, since they are what frees it. All
// types are looked at before the first write, so that of the writes only a counter's overflow can fail: `close` adds to
// counters and stands in `torn` meanwhile; `remove` adds to none, and deleting a key does not depend on its type.
import { clockLua, openLua, sessionLua } from './lua-parts.ts'

/** ARGV[1]: epoch, partitions, time they were counted at, limit, idle (a session is over) and the id of the call. */
export const closeLua = `#!lua flags=allow-oom
${openLua}
local m = call('HMGET', meta, 'stage', 'torn', 'from')
if not m[1] or call('GET', KEYS[1]) ~= a.e then return {'EPOCH'} end
if m[2] then return {'BROKEN', m[2]} end
${clockLua}
${sessionLua}
for _, name in ipairs({'open', 'held', 'dirty', 'due', 'kept', 'dirty-sessions'}) do
  if not isZset(name) then return {'TYPE', name} end
end
local from = tonumber(m[3] or '0')
local names = call('ZRANGEBYSCORE', 'open:' .. base, '-inf', clock, 'LIMIT', 0, a.limit)
local dirty = {}
for i, name in ipairs(names) do
  local got = pcall('HGET', 'metric:' .. base .. ':' .. name, 'n')
  if type(got) == 'table' and got.err then return {'TYPE', name} end
  local start = startOf(name)
  if start >= from then dirty[#dirty + 1] = start dirty[#dirty + 1] = name end
end

local ids, rest = {}, a.limit - #names
if rest > 0 then
  ids = call('ZRANGEBYSCORE', 'due:' .. base, '-inf', clock - a.idle, 'LIMIT', 0, rest)
end
local keys, records, over, kept, hours, adds = {}, {}, {}, {}, {}, {}
for i, id in ipairs(ids) do keys[i] = 'analytics:session:' .. base .. ':' .. id end
local texts = #keys > 0 and call('MGET', unpack(keys)) or {}
for i, id in ipairs(ids) do
  local s = texts[i] and sessionOf(texts[i])
  if not s then return {'TYPE', keys[i]} end
  local first, last, events, views = s[1], s[2], s[3], s[4]
  if first >= from then
    local started, had, length, bounced = string.match(s[7], '^(%d+) (%d+) (%d+) ([01])$')
    local start, isBounce = tonumber(started or first), 0
    if views <= 1 and s[5] ~= 1 then isBounce = 1 end
    local hour = start - start % 3600000
    local add = adds[hour]
    if not add then
      add = {events = 0, count = 0, bounce_rate = 0, session_duration = 0}
      adds[hour] = add
      hours[#hours + 1] = hour
    end
    add.events = add.events + events - tonumber(had or '0')
    add.count = add.count + (started and 0 or 1)
    add.bounce_rate = add.bounce_rate + isBounce - tonumber(bounced or '0')
    add.session_duration = add.session_duration + last - first - tonumber(length or '0')
    s[7] = string.format('%.0f %.0f %.0f %d', start, events, last - first, isBounce)
    over[#over + 1] = last
    over[#over + 1] = id
  end
  s[6] = 1
  records[#records + 1] = keys[i]
  records[#records + 1] = cmsgpack.pack(unpack(s))
  kept[#kept + 1] = last
  kept[#kept + 1] = id
end
local metrics = {}
for _, hour in ipairs(hours) do
  for _, metric in ipairs({'bounce_rate', 'session_duration'}) do
    local name = string.format('%s:1h:%.0f', metric, hour)
    local key = 'metric:' .. base .. ':' .. name
    local held = pcall('HGET', key, 'n')
    if type(held) == 'table' and held.err then return {'TYPE', name} end
    metrics[#metrics + 1] = {name, key, hour, adds[hour], adds[hour][metric], not held}
  end
end

if a.n > tonumber(at.n or '0') then call('HSET', pos, 'n', a.n) end
if #names + #ids == 0 then return {'OK', 0} end
call('HSET', meta, 'torn', 'close ' .. a.id)
for _, name in ipairs(names) do call('HSET', 'metric:' .. base .. ':' .. name, 'x', '1') end
if #names > 0 then call('ZREM', 'open:' .. base, unpack(names)) end
for _, w in ipairs(metrics) do
  local name, key, hour, add, sum = w[1], w[2], w[3], w[4], w[5]
  call('HINCRBY', key, 'n', add.events)
  call('HINCRBY', key, 'c', add.count)
  local high = math.floor(sum / 1099511627776)
  if high ~= 0 then call('HINCRBY', key, 'h', high) end
  if sum - high * 1099511627776 ~= 0 then call('HINCRBY', key, 'l', sum - high * 1099511627776) end
  if w[6] then
    call('ZADD', 'open:' .. base, hour + a.opens, name)
    call('ZADD', 'held:' .. base, hour + a.keeps, name)
  end
  if hour >= from then dirty[#dirty + 1] = hour dirty[#dirty + 1] = name end
end
inChunks('ZADD', 'dirty:' .. base, dirty)
if #ids > 0 then
  inChunks('MSET', nil, records)
  call('ZREM', 'due:' .. base, unpack(ids))
  inChunks('ZADD', 'kept:' .. base, kept)
  inChunks('ZADD', 'dirty-sessions:' .. base, over)
end
call('HDEL', meta, 'torn')
return {'OK', #names + #ids}`

/** ARGV[1]: as of \`close\`, then lateness with the time seen hours are kept, the length of an hour, and of a session. */
export const removeLua = `#!lua flags=allow-oom
${openLua}
local m = call('HMGET', meta, 'stage', 'torn', 'from', 'deleted')
local live = call('GET', KEYS[1])
local isBuilding = m[1] == 'building' and tonumber(a.e) > tonumber(live or '0')
if not m[1] or not (live == a.e or isBuilding) then return {'EPOCH'} end
if m[2] then return {'BROKEN', m[2]} end
${clockLua}
for _, name in ipairs({'hours', 'open', 'held', 'dirty', 'kept', 'dirty-sessions'}) do
  if not isZset(name) then return {'TYPE', name} end
end
local from, limit, gone = tonumber(m[3] or '0'), a.limit, {}
local through = math.floor((clock - a.seen) / a.hour) - 1
local hours = {}
if through > tonumber(m[4] or '-1') then
  hours = call('ZRANGEBYSCORE', 'hours:' .. base, '-inf', through, 'LIMIT', 0, limit)
  if #hours == limit then through = tonumber(hours[limit]) end
  for i, hour in ipairs(hours) do gone[i] = 'seen:' .. base .. ':' .. hour end
end
local rest = isBuilding and 0 or limit - #hours

local names, windows = {}, {}
if rest > 0 then names = call('ZRANGEBYSCORE', 'held:' .. base, '-inf', clock, 'LIMIT', 0, rest) end
local waits = #names > 0 and call('ZMSCORE', 'dirty:' .. base, unpack(names)) or {}
for i, name in ipairs(names) do
  if rest > 0 and not waits[i] then
    local key = 'metric:' .. base .. ':' .. name
    local h = pcall('HMGET', key, 'x', 'u')
    if h.err then return {'TYPE', name} end
    if h[1] or startOf(name) < from then
      windows[#windows + 1] = name
      gone[#gone + 1] = key
      rest = rest - 1
      for _, field in ipairs(h[2] and call('HKEYS', key) or {}) do
        if string.byte(field) == 117 then
          gone[#gone + 1] = 'uniq:' .. base .. ':' .. name .. ':' .. string.sub(field, 2)
          rest = rest - 1
        end
      end
    end
  end
end

local ids, sessions = {}, {}
if rest > 0 then ids = call('ZRANGEBYSCORE', 'kept:' .. base, '-inf', clock - a.keep, 'LIMIT', 0, rest) end
local unsaid = #ids > 0 and call('ZMSCORE', 'dirty-sessions:' .. base, unpack(ids)) or {}
for i, id in ipairs(ids) do
  if not unsaid[i] then
    sessions[#sessions + 1] = id
    gone[#gone + 1] = 'analytics:session:' .. base .. ':' .. id
  end
end

if through > tonumber(m[4] or '-1') then
  call('HSET', meta, 'deleted', through)
  call('ZREMRANGEBYSCORE', 'hours:' .. base, '-inf', through)
end
inChunks('UNLINK', nil, gone)
for _, index in ipairs({'held', 'open'}) do inChunks('ZREM', index .. ':' .. base, windows) end
inChunks('ZREM', 'kept:' .. base, sessions)
return {'OK', #hours + #windows + #sessions}`
