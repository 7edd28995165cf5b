// The scripts of the lease. Names below a prefix P, which all carry its hash tag: `Pp<digest>` a lease, `Pf<digest>` a
// first receipt, `Pc<bucket>.<set>` marks, `Pb` the layout of the buckets.
//
// Marks are 64-bit integers in sets that Redis keeps as sorted arrays of eight bytes each while a set has at most 512 of
// them; the set is named by up to 16 further bits of the hash. How many bits is decided when a bucket of time begins, by
// the marks of the bucket before, and written down in `Pb`: sets of about 256 marks at any rate. Bucket numbers come
// from the clock of Redis, so that gateways with different clocks agree.
//
// `#!lua` makes Redis refuse a call as a whole when it is out of memory, instead of in the middle.
import { digestLength } from './dedup-slot.ts'

/** Buckets that are looked up: with a bucket of a quarter of the window, an event is known for 1 to 1.25 windows. */
export const bucketCount = 5

const pattern = `(${'%S'.repeat(digestLength)})(%d%d%d%d%d)(%-?%d+)`

const readBuckets = `
local prefix = KEYS[1]
local bucket = math.floor(tonumber(redis.call('TIME')[1]) / tonumber(ARGV[1]))
local layout = prefix .. 'b'
local bits, counts = {}, {}
local fields = redis.call('HGETALL', layout)
for at = 1, #fields, 2 do
  local number = tonumber(string.sub(fields[at], 2))
  if string.sub(fields[at], 1, 1) == 'n' then bits[number] = tonumber(fields[at + 1])
  else counts[number] = tonumber(fields[at + 1]) end
end
local function setName(number, place)
  return prefix .. 'c' .. number .. '.' .. math.floor(place / 2 ^ (16 - bits[number]))
end
local function isMarked(place, mark)
  for number = bucket, bucket - ${bucketCount - 1}, -1 do
    if bits[number] and redis.call('SISMEMBER', setName(number, place), mark) == 1 then return true end
  end
  return false
end`

/**
 * KEYS P. ARGV bucket seconds, life of marks in s, words to reserve, lease ms, token, words to mark, life of receipts in
 * ms, then pairs of a place among the words to reserve and the receipt of that event. Marks go first: an attempt at an
 * event whose mark travels in the same call finds it. Replies one letter per reservation (New, Duplicate, Busy), or an
 * array of these letters and pairs of a place and the receipt that was kept before.
 */
export const stepLua = `#!lua
${readBuckets}
if ARGV[6] ~= '' then
  if not bits[bucket] then
    local before, n = nil, 8
    for number = bucket - 1, bucket - ${bucketCount - 1}, -1 do before = before or counts[number] end
    if before then
      n = 0
      while n < 16 and before / 2 ^ n > 256 do n = n + 1 end
    end
    bits[bucket] = n
    redis.call('HSET', layout, 'n' .. bucket, n)
    for at = 1, #fields, 2 do
      if tonumber(string.sub(fields[at], 2)) <= bucket - ${bucketCount} then redis.call('HDEL', layout, fields[at]) end
    end
  end
  local added, touched = 0, {}
  for digest, place, mark in string.gmatch(ARGV[6], '${pattern}') do
    local name = setName(bucket, tonumber(place))
    added = added + redis.call('SADD', name, mark)
    touched[name] = true
    redis.call('DEL', prefix .. 'p' .. digest, prefix .. 'f' .. digest)
  end
  for name in pairs(touched) do redis.call('EXPIRE', name, ARGV[2]) end
  redis.call('HINCRBY', layout, 'c' .. bucket, added)
  redis.call('EXPIRE', layout, ARGV[2])
end
local receipts, kept = {}, {}
for at = 8, #ARGV, 2 do receipts[tonumber(ARGV[at])] = ARGV[at + 1] end
local flags, count = {}, 0
for digest, place, mark in string.gmatch(ARGV[3], '${pattern}') do
  count = count + 1
  if isMarked(tonumber(place), mark) then
    flags[count] = 'D'
  elseif redis.call('SET', prefix .. 'p' .. digest, ARGV[5] .. count, 'NX', 'PX', ARGV[4]) then
    flags[count] = 'N'
    if receipts[count] then
      local first = redis.call('GET', prefix .. 'f' .. digest)
      if first then
        kept[#kept + 1] = count
        kept[#kept + 1] = first
      else
        redis.call('SET', prefix .. 'f' .. digest, receipts[count], 'PX', ARGV[7])
      end
    end
  else
    flags[count] = 'B'
  end
end
if #kept == 0 then return table.concat(flags) end
return {table.concat(flags), unpack(kept)}`

/** KEYS P. ARGV bucket seconds, words. One letter per word: Duplicate, Busy, or a dash. Writes nothing. */
export const findLua = `#!lua flags=no-writes
${readBuckets}
local flags, count = {}, 0
for digest, place, mark in string.gmatch(ARGV[2], '${pattern}') do
  count = count + 1
  if isMarked(tonumber(place), mark) then flags[count] = 'D'
  elseif redis.call('EXISTS', prefix .. 'p' .. digest) == 1 then flags[count] = 'B'
  else flags[count] = '-' end
end
return table.concat(flags)`

/** KEYS the lease. ARGV its token. Gives it back only to its holder, also when Redis is out of memory. */
export const releaseLua = `#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

/** KEYS the layout. ARGV the layout of this process, the one before or ''. Replies the one that holds from now on. */
export const layoutLua = `#!lua
local stored = redis.call('GET', KEYS[1])
if stored and stored ~= ARGV[2] then return stored end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]`
