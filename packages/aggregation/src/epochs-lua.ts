// The scripts of epochs (epochs.ts). None of their writes can fail once the types are looked at: they set texts, add
// scores and delete keys, and with `allow-oom` memory refuses none. So they need no `torn` marker; the pointer is moved
// by the last write. What is over (below the pointer, or given up) takes no writes any more and is swept bit by bit.

const beginLua = `
local call, pcall = redis.call, redis.pcall
local a = cjson.decode(ARGV[1])
local project = string.sub(KEYS[1], 7)
local list = 'epochs:' .. project
local pointer = call('GET', KEYS[1]) or '0'
local function metaOf(epoch) return 'meta:' .. project .. ':' .. epoch end
local function create(epoch, stage)
  local pos = {'n', #a.offsets}
  for i, offset in ipairs(a.offsets) do
    pos[#pos + 1] = 'p' .. (i - 1)
    pos[#pos + 1] = offset
  end
  call('HSET', metaOf(epoch), 'stage', stage, 'from', a.from)
  call('HSET', 'pos:' .. project .. ':' .. epoch, unpack(pos))
  call('SADD', list, epoch)
end`

/** ARGV[1]: epoch, start offsets, complete from. */
export const initLua = `#!lua
${beginLua}
if tonumber(a.e) <= tonumber(pointer) or call('EXISTS', metaOf(a.e)) == 1 then return {'LOST'} end
create(a.e, 'live')
call('SET', KEYS[1], a.e)
return {'OK'}`

/** As \`initLua\`. */
export const beginRebuildLua = `#!lua
${beginLua}
local stage = call('HGET', metaOf(a.e), 'stage')
if tonumber(a.e) <= tonumber(pointer) or (stage and stage ~= 'building') then return {'LOST'} end
if not stage then create(a.e, 'building') end
return {'OK'}`

/** Answers the positions by partition. */
export const sealLua = `#!lua flags=allow-oom
${beginLua}
if call('EXISTS', metaOf(pointer)) == 0 then return {'EPOCH'} end
local at, positions = 'pos:' .. project .. ':' .. pointer, {}
for i = 1, tonumber(call('HGET', at, 'n') or '0') do positions[i] = call('HGET', at, 'p' .. (i - 1)) or '0' end
call('HSET', metaOf(pointer), 'stage', 'sealing')
return {'OK', positions}`

const unsealLua = `
if call('HGET', metaOf(pointer), 'stage') == 'sealing' then call('HSET', metaOf(pointer), 'stage', 'live') end`

/** ARGV[1]: nothing. */
export const unsealOnlyLua = `#!lua flags=allow-oom
${beginLua}
${unsealLua}
return {'OK'}`

/** ARGV[1]: epoch. Lifts a seal too. */
export const abortLua = `#!lua flags=allow-oom
${beginLua}
if pointer == a.e then return {'LIVE'} end
if call('EXISTS', metaOf(a.e)) == 1 then call('HSET', metaOf(a.e), 'stage', 'over') end
${unsealLua}
return {'OK'}`

/** ARGV[1]: epoch. Marks every held window that is complete, which takes time in proportion to their number. */
export const flipLua = `#!lua flags=allow-oom
${beginLua}
local built, live = call('HMGET', metaOf(a.e), 'stage', 'torn', 'from'), call('HGET', metaOf(pointer), 'stage')
if built[1] ~= 'building' or not live or tonumber(a.e) <= tonumber(pointer) then return {'EPOCH'} end
if built[2] then return {'BROKEN', built[2]} end
if live ~= 'sealing' then return {'UNSEALED'} end
local old, new = 'pos:' .. project .. ':' .. pointer, 'pos:' .. project .. ':' .. a.e
for i = 0, tonumber(call('HGET', old, 'n') or '0') - 1 do
  local reached, wanted = call('HGET', new, 'p' .. i) or '0', call('HGET', old, 'p' .. i) or '0'
  if tonumber(reached) < tonumber(wanted) then return {'BEHIND'} end
end
local held, dirty = 'held:' .. project .. ':' .. a.e, 'dirty:' .. project .. ':' .. a.e
for _, key in ipairs({held, dirty}) do
  if type(pcall('ZCARD', key)) == 'table' then return {'TYPE', key} end
end
local from, marks = tonumber(built[3] or '0'), {}
for _, name in ipairs(call('ZRANGE', held, 0, -1)) do
  local start = tonumber(string.match(name, ':(%d+)$'))
  if start >= from then marks[#marks + 1] = start marks[#marks + 1] = name end
end
for first = 1, #marks, 1000 do call('ZADD', dirty, unpack(marks, first, math.min(first + 999, #marks))) end
call('HSET', metaOf(a.e), 'stage', 'live')
call('SET', KEYS[1], a.e)
return {'OK'}`

/** As \`initLua\`, over a sealed epoch. */
export const replaceLua = `#!lua flags=allow-oom
${beginLua}
local live = call('HGET', metaOf(pointer), 'stage')
if not live or tonumber(a.e) <= tonumber(pointer) or call('EXISTS', metaOf(a.e)) == 1 then return {'EPOCH'} end
if live ~= 'sealing' then return {'UNSEALED'} end
create(a.e, 'live')
call('SET', KEYS[1], a.e)
return {'OK'}`

/**
 * ARGV[1]: limit. Deletes keys of epochs that are over, found through the indexes: hours, windows by \`held\` with their
 * HyperLogLogs, sessions by \`due\` and \`kept\`, layers of the filter. The meta key goes last, and with it the epoch from
 * the list. An index of another type is deleted as it is: a torn epoch must not stop it.
 */
export const sweepLua = `#!lua flags=allow-oom
${beginLua}
local rest, deleted, remaining = a.limit, 0, 0
local function delete(keys)
  for first = 1, #keys, 1000 do call('UNLINK', unpack(keys, first, math.min(first + 999, #keys))) end
  rest, deleted = rest - #keys, deleted + #keys
end
local function sweep(index, keysOf)
  if rest <= 0 then return false end
  local names = pcall('ZRANGE', index, 0, rest - 1)
  if names.err then call('UNLINK', index) return true end
  local taken, keys = {}, {}
  for _, name in ipairs(names) do
    if #keys < rest then
      keysOf(name, keys)
      taken[#taken + 1] = name
    end
  end
  delete(keys)
  if #taken > 0 then call('ZREM', index, unpack(taken)) end
  return call('EXISTS', index) == 0
end
for _, epoch in ipairs(call('SMEMBERS', list)) do
  local base = project .. ':' .. epoch
  if tonumber(epoch) < tonumber(pointer) or call('HGET', metaOf(epoch), 'stage') == 'over' then
    local done = sweep('hours:' .. base, function(hour, keys) keys[#keys + 1] = 'seen:' .. base .. ':' .. hour end)
    done = sweep('held:' .. base, function(name, keys)
      local window = 'metric:' .. base .. ':' .. name
      local fields = pcall('HKEYS', window)
      for _, field in ipairs(fields.err and {} or fields) do
        if string.byte(field) == 117 then
          keys[#keys + 1] = 'uniq:' .. base .. ':' .. name .. ':' .. string.sub(field, 2)
        end
      end
      keys[#keys + 1] = window
    end) and done
    for _, index in ipairs({'due', 'kept'}) do
      done = sweep(index .. ':' .. base, function(id, keys)
        keys[#keys + 1] = 'analytics:session:' .. base .. ':' .. id
      end) and done
    end
    if done and rest > 0 then
      local keys = {}
      for layer = 0, tonumber(call('HGET', metaOf(epoch), 'layer') or '-1') do keys[layer + 1] = 'known:' .. base .. ':' .. layer end
      for _, name in ipairs({'open', 'dirty', 'dirty-sessions', 'pos', 'meta'}) do keys[#keys + 1] = name .. ':' .. base end
      delete(keys)
      call('SREM', list, epoch)
    else
      remaining = 1
    end
  end
end
return {'OK', deleted, remaining}`

/** Pointer, memory of the server, and of each epoch: meta, positions, sizes of the indexes, ids counted. */
export const inspectLua = `#!lua flags=no-writes
${beginLua}
local epochs = {}
for _, epoch in ipairs(call('SMEMBERS', list)) do
  local base, sizes, ids = project .. ':' .. epoch, {}, 0
  for i, name in ipairs({'open', 'held', 'dirty', 'due', 'kept', 'dirty-sessions', 'hours'}) do
    local size = a.sizes and pcall('ZCARD', name .. ':' .. base) or 0
    sizes[i] = type(size) == 'table' and -1 or size
  end
  if sizes[7] > 0 then
    for _, hour in ipairs(call('ZRANGE', 'hours:' .. base, 0, -1)) do
      local size = pcall('SCARD', 'seen:' .. base .. ':' .. hour)
      ids = ids + (type(size) == 'table' and 0 or size)
    end
  end
  epochs[#epochs + 1] = {epoch, call('HGETALL', metaOf(epoch)), call('HGETALL', 'pos:' .. base), sizes, ids}
end
local memory = call('INFO', 'memory')
return {'OK', pointer, epochs, string.match(memory, 'used_memory:(%d+)'), string.match(memory, 'maxmemory:(%d+)')}`
