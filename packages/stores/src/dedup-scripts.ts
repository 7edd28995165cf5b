// The scripts of the lease. Names below a prefix P, which all carry its hash tag: `Pp<slice>` leases by digest,
// `Pf<digest>` a first receipt, `Pc<bucket>.<width>.<place>` marks, `Pb` the layers of the buckets and their counts.
//
// Marks are 64-bit integers in sets that Redis keeps as sorted arrays of eight bytes each while a set has at most 512 of
// them. A bucket of time is a stack of layers; a layer of width w is 16^w sets, chosen by w hexadecimal digits of the
// hash. A full layer is closed and a wider one opened, so sets stay small at any rate; a new bucket begins with the width
// that the bucket before would have needed, so one layer is the rule. Bucket numbers come from the clock of Redis, so
// that gateways with different clocks agree.
//
// Leases are fields of a hash per slice of time, since a command for all ids of a call costs a fraction of one for each.
// A lease holds its own deadline: it ends on the millisecond, and its hash goes when all of its leases are over. Slices are
// as long as the longest lease there may be, so that gateways with leases of different length see each other's.
//
// `#!lua` makes Redis refuse a call as a whole when it is out of memory, instead of in the middle.
import { digestLength, placeLength, wordLength } from './dedup-slot.ts'

/** Buckets that are looked up: with a bucket of a quarter of the window, an event is known for 1 to 1.25 windows. */
export const bucketCount = 5

/** Marks per set: what a layer is begun for, and at which mean it is closed. Both leave room below 512. */
const begunFor = 300
const closedAt = 416
/** Above this mean no set of a layer is empty, so all of them have got their end. */
const filledAt = 32
/** A lease is looked for in the slice that runs and the one before. */
export const longestLeaseMs = 300_000
/** Width of the first layer of a shard that nothing is known about. */
const firstWidth = 2

/** Cuts words. The place stays in the word: how much of it is needed depends on the layer. */
const split = (words: string): string => `
local digests, marks = {}, {}
for at = 0, #${words} / ${wordLength} - 1 do
  local from = at * ${wordLength}
  digests[at + 1] = string.sub(${words}, from + 1, from + ${digestLength})
  marks[at + 1] = string.sub(${words}, from + ${digestLength + placeLength + 1}, from + ${wordLength})
end`

const placeStart = (at: string): string => `(${at} - 1) * ${wordLength} + ${digestLength}`

const readBuckets = `
local prefix = KEYS[1]
local time = redis.call('TIME')
local seconds = tonumber(time[1])
local nowMs = seconds * 1000 + math.floor(tonumber(time[2]) / 1000)
local bucket = math.floor(seconds / tonumber(ARGV[1]))
local layout = prefix .. 'b'
local heads, widths, counts, latest, hasReceipts = {}, {}, {}, nil, false
local fields = redis.call('HGETALL', layout)
-- A clock that is set back leaves buckets of the future, which hold marks all the same; far ones are of another window.
local function isNear(number) return math.abs(number - bucket) < ${bucketCount} end
local function look(number, width)
  heads[#heads + 1] = prefix .. 'c' .. number .. '.' .. width .. '.'
  widths[#widths + 1] = width
end
for at = 1, #fields, 2 do
  local number, width = string.match(fields[at], '^(%d+)%.(%d)$')
  if number then
    number, width = tonumber(number), tonumber(width)
    if not counts[number] then counts[number] = {} end
    counts[number][width] = tonumber(fields[at + 1])
    if number < bucket and (not latest or number > latest) then latest = number end
    if isNear(number) then look(number, width) end
  else hasReceipts = true end
end
local function isMarked(words, start, mark)
  for at = 1, #heads do
    local name = heads[at] .. string.sub(words, start + 1, start + widths[at])
    if redis.call('SISMEMBER', name, mark) == 1 then return true end
  end
  return false
end`

const readLeases = `
local slice = math.floor(nowMs / ${longestLeaseMs})
local leases, leasesBefore = prefix .. 'p' .. slice, prefix .. 'p' .. (slice - 1)
local function isLive(lease) return lease and tonumber(string.sub(lease, 1, 13)) > nowMs end`

const mark = `
-- It says that there are receipts, so it outlives them.
local function lifeOfLayout()
  local life = tonumber(ARGV[2])
  return hasReceipts and math.max(life, math.ceil(tonumber(ARGV[7]) / 1000)) or life
end
local function openLayer(incoming)
  local width, own = nil, counts[bucket] or {}
  for each in pairs(own) do if not width or each > width then width = each end end
  if not width then
    width = ${firstWidth}
    if latest then
      local before = 0
      for _, count in pairs(counts[latest]) do before = before + count end
      width = 0
      while width < ${placeLength} and before > ${begunFor} * 16 ^ width do width = width + 1 end
    end
    for number, layers in pairs(counts) do
      if not isNear(number) then
        for each in pairs(layers) do redis.call('HDEL', layout, number .. '.' .. each) end
      end
    end
  end
  while width < ${placeLength} and (own[width] or 0) + incoming > ${closedAt} * 16 ^ width do width = width + 1 end
  if not own[width] then look(bucket, width) end
  return width, own[width] or 0
end
if ARGV[6] ~= '' then
  ${split('ARGV[6]')}
  local width, count = openLayer(#digests)
  local head = prefix .. 'c' .. bucket .. '.' .. width .. '.'
  local isFilled, added, firsts = count > ${filledAt} * 16 ^ width, 0, {}
  for at = 1, #digests do
    local start = ${placeStart('at')}
    local name = head .. string.sub(ARGV[6], start + 1, start + width)
    if redis.call('SADD', name, marks[at]) == 1 then
      added = added + 1
      if not isFilled then redis.call('EXPIRE', name, ARGV[2]) end
    end
    if hasReceipts then firsts[at] = prefix .. 'f' .. digests[at] end
  end
  redis.call('HINCRBY', layout, bucket .. '.' .. width, added)
  redis.call('EXPIRE', layout, lifeOfLayout())
  redis.call('HDEL', leases, unpack(digests))
  redis.call('HDEL', leasesBefore, unpack(digests))
  if hasReceipts then redis.call('DEL', unpack(firsts)) end
end`

/**
 * KEYS P. ARGV bucket seconds, life of marks in s, words to reserve, lease ms, token, words to mark, life of receipts in
 * ms, then pairs of a place among the words to reserve and the receipt of that event. At most some thousand words each.
 * Marks go first: an attempt at an event whose mark travels in the same call finds it. Replies one letter per reservation
 * (New, Duplicate, Busy), or an array of these letters and pairs of a place and the receipt that was kept before, also of
 * an event that brings none: the first one made its time. All
 * leases of a call have its token: of two attempts at one event in a call, one is busy.
 */
export const stepLua = `#!lua
${readBuckets}
${readLeases}
${mark}
if ARGV[3] == '' then return '' end
${split('ARGV[3]')}
local receipts, kept = {}, {}
for at = 8, #ARGV, 2 do receipts[tonumber(ARGV[at])] = ARGV[at + 1] end
local held, heldBefore = redis.call('HMGET', leases, unpack(digests)), redis.call('HMGET', leasesBefore, unpack(digests))
local flags, taken, writes = {}, {}, {}
local lease = string.format('%013.0f', nowMs + tonumber(ARGV[4])) .. ARGV[5]
for at = 1, #digests do
  local digest = digests[at]
  if taken[digest] or isLive(held[at]) or isLive(heldBefore[at]) then
    flags[at] = 'B'
  elseif isMarked(ARGV[3], ${placeStart('at')}, marks[at]) then
    flags[at] = 'D'
  else
    flags[at] = 'N'
    taken[digest] = true
    writes[#writes + 1] = digest
    writes[#writes + 1] = lease
    local own = receipts[at]
    local first = (own or hasReceipts) and redis.call('GET', prefix .. 'f' .. digest)
    if first then
      kept[#kept + 1] = at
      kept[#kept + 1] = first
    elseif own then
      redis.call('SET', prefix .. 'f' .. digest, own, 'PX', ARGV[7])
      if not hasReceipts then
        redis.call('HSET', layout, 'f', 1)
        hasReceipts = true
        redis.call('EXPIRE', layout, lifeOfLayout())
      end
    end
  end
end
if #writes > 0 then
  redis.call('HSET', leases, unpack(writes))
  -- A long field keeps Redis from searching a small hash from its start for each id.
  if redis.call('HSETNX', leases, '-', string.rep('-', 80)) == 1 then redis.call('PEXPIRE', leases, ${2 * longestLeaseMs}) end
end
if #kept == 0 then return table.concat(flags) end
return {table.concat(flags), unpack(kept)}`

/** KEYS P. ARGV bucket seconds, words. One letter per word: Duplicate, Busy, or a dash. Writes nothing. */
export const findLua = `#!lua flags=no-writes
${readBuckets}
${readLeases}
${split('ARGV[2]')}
local held, heldBefore = redis.call('HMGET', leases, unpack(digests)), redis.call('HMGET', leasesBefore, unpack(digests))
local flags = {}
for at = 1, #digests do
  if isMarked(ARGV[2], ${placeStart('at')}, marks[at]) then flags[at] = 'D'
  elseif isLive(held[at]) or isLive(heldBefore[at]) then flags[at] = 'B'
  else flags[at] = '-' end
end
return table.concat(flags)`

/**
 * KEYS P. ARGV pairs of a digest and a token. Gives leases back only to their holders, also when Redis is
 * out of memory; replies how many it gave.
 */
export const releaseLua = releaseScript('string.sub(lease, 14) == ARGV[at + 1]')

/** The mistake of giving back whoever's lease it is, for the fault harness to find. */
export const releaseAnyLua = releaseScript('true')

function releaseScript(isOwn: string): string {
  return `#!lua flags=allow-oom
local prefix, given = KEYS[1], 0
local time = redis.call('TIME')
local slice = math.floor((tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)) / ${longestLeaseMs})
for at = 1, #ARGV, 2 do
  for each = slice, slice - 1, -1 do
    local name = prefix .. 'p' .. each
    local lease = redis.call('HGET', name, ARGV[at])
    if lease and ${isOwn} then given = given + redis.call('HDEL', name, ARGV[at]) end
  end
end
return given`
}

/** KEYS the layout. ARGV the layout of this process, the one before or ''. Replies the one that holds from now on. */
export const layoutLua = `#!lua
local stored = redis.call('GET', KEYS[1])
if stored and stored ~= ARGV[2] then return stored end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]`
