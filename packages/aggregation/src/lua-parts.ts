// What several scripts begin with. A script is a text that starts with `#!lua`, so parts are put together as texts.

/** Decodes ARGV[1]; `a.e` is the epoch as a text. KEYS[1] is the pointer, and its hash tag begins every other key. */
export const openLua = `
local try, call, pcall = pcall, redis.call, redis.pcall
local a = cjson.decode(ARGV[1])
local base = string.sub(KEYS[1], 7) .. ':' .. a.e
local meta, pos = 'meta:' .. base, 'pos:' .. base
local function isZset(name) return type(pcall('ZCARD', name .. ':' .. base)) ~= 'table' end
local function pairsOf(flat)
  local made = {}
  for i = 1, #flat, 2 do made[flat[i]] = flat[i + 1] end
  return made
end
local function inChunks(command, key, args)
  for first = 1, #args, 1000 do
    local last = math.min(first + 999, #args)
    if key then call(command, key, unpack(args, first, last)) else call(command, unpack(args, first, last)) end
  end
end
local function startOf(window) return tonumber(string.match(window, ':(%d+)$')) end`

/** The project's clock from `a.n` partitions, counted at `a.at` (close.ts); needs `openLua`. */
export const clockLua = `
local at = pairsOf(call('HGETALL', pos))
local partitions, clock = math.max(tonumber(at.n or '0'), a.n), a.at
for i = 0, partitions - 1 do clock = math.min(clock, tonumber(at['c' .. i] or '-1')) end`

/** The twelve members of a session (keys.ts); nil when the text is none. Needs `openLua`. */
export const sessionLua = `
local function sessionOf(text)
  local members = {try(cmsgpack.unpack, text)}
  if members[1] and #members == 13 then return {unpack(members, 2)} end
end`

/**
 * Fields and unique counts of a window; with `dims` of those dimensions alone, with `plain` without the unique counts,
 * each of which reads a whole HyperLogLog. Needs `openLua`.
 */
export const windowLua = `
local function readWindow(name, dims, plain)
  local key, flat, uniques = 'metric:' .. base .. ':' .. name, {}, {}
  if dims then
    local fields = {'n', 'x', 'o'}
    for _, d in ipairs(dims) do
      for _, kind in ipairs({'c', 'h', 'l', 'm', 'M', 'u'}) do fields[#fields + 1] = kind .. d end
    end
    local got = call('HMGET', key, unpack(fields))
    for i, value in ipairs(got) do
      if value then flat[#flat + 1] = fields[i] flat[#flat + 1] = value end
    end
  else
    flat = call('HGETALL', key)
  end
  for i = 1, plain and 0 or #flat, 2 do
    local field = flat[i]
    if string.byte(field) == 117 then
      local d = string.sub(field, 2)
      uniques[#uniques + 1] = d
      uniques[#uniques + 1] = call('PFCOUNT', 'uniq:' .. base .. ':' .. name .. ':' .. d)
    end
  end
  return {name, flat, uniques}
end`
