// The part of the apply script that merges sessions (sessions.ts). They are most of a batch, so they come packed, are
// unpacked without a table each, and are merged and packed again before the first write; only the hint of new visitors,
// which is told among the writes, is put behind them then.

/**
 * A session's numbers: first and last event, events, page views, converted, and two of each of up to two visitors; and its
 * claims: first, entry, exit (empty: as the entry), user.
 */
const sessionFormat = '<ddI4I4I4I4I4I4I4'
const claimFormat = 'ssss'
/** Length of `sessionFormat`. */
export const sessionBytes = 44

/** Merges the sessions of the call with those held; needs `openLua` and `m`, and asks about visitors (known-lua.ts). */
export const sessionsLua = `
local function before(x, y)
  local tx, ty = string.sub(x, 1, 15), string.sub(y, 1, 15)
  if tx ~= ty then return tonumber(tx) < tonumber(ty) end
  for i = 16, math.min(#x, #y) do
    local bx, by = string.byte(x, i), string.byte(y, i)
    if bx ~= by then return bx < by end
  end
  return #x < #y
end
local function earlier(made, old)
  if old == '' or (made ~= '' and before(made, old)) then return made end
  return old
end
local function later(made, old)
  if old == '' or (made ~= '' and before(old, made)) then return made end
  return old
end
local isNew = {}
local asks, hashes, steps = {}, {}, {}
local function ask(i, hash, step)
  if step == 0 then return end
  asks[#asks + 1] = i
  hashes[#asks], steps[#asks] = hash, step
end
local packs, opens, unpacks = cmsgpack.pack, cmsgpack.unpack, struct.unpack
local ids, keys, records, times, reopened = a.s, {}, {}, {}, {}
local count, prefix = #ids, 'analytics:session:' .. base .. ':'
local numbers, claims, claimsAt = ARGV[2 * #a.h + 2], ARGV[2 * #a.h + 3], 1
for i = 1, count do keys[i] = prefix .. ids[i] end
local function merge(i, text)
  local first, last, events, views, converted, hash, step, otherHash, otherStep =
    unpacks('${sessionFormat}', numbers, ${sessionBytes} * (i - 1) + 1)
  local begins, entry, exit, user, given
  begins, entry, exit, user, claimsAt = unpacks('${claimFormat}', claims, claimsAt)
  if exit == '' then exit = entry end
  if text then
    local ok, f, l, e, v, c, closed, g, b, en, ex, u, known = try(opens, text)
    if not ok or not known then return false end
    if known == '' then
      ask(i, hash, step)
      ask(i, otherHash, otherStep)
    elseif u == '' and user ~= '' then
      ask(i, hash, step)
    end
    if first > l then
      begins = b
      if en ~= '' then entry = en end
      if exit == '' then exit = ex end
      if user == '' then user = u end
    else
      begins, entry, exit, user = earlier(begins, b), earlier(entry, en), later(exit, ex), later(user, u)
      if f < first then first = f end
      if l > last then last = l end
    end
    if first > f then first = f end
    events, views, given, isNew[i] = events + e, views + v, g, known
    if c == 1 then converted = 1 end
    if closed == 1 then reopened[#reopened + 1] = ids[i] end
  else
    given = ''
    ask(i, hash, step)
    ask(i, otherHash, otherStep)
  end
  records[2 * i - 1] = keys[i]
  records[2 * i] = packs(first, last, events, views, converted, 0, given, begins, entry, exit, user)
  times[2 * i - 1], times[2 * i] = last, ids[i]
  return true
end
for start = 1, count, 1000 do
  local held = call('MGET', unpack(keys, start, math.min(start + 999, count)))
  for j, text in ipairs(held) do
    if not merge(start + j - 1, text) then return {'TYPE', keys[start + j - 1]} end
  end
end
local layer, known = tonumber(m[5] or '0'), tonumber(m[6] or '0')
if #asks > 0 then
  for l = 0, layer do
    local head = pcall('GETRANGE', 'known:' .. base .. ':' .. l, 0, 0)
    if type(head) == 'table' then return {'TYPE', 'known:' .. l} end
  end
end`

/** Writes what \`sessionsLua\` made, after the visitors were told. */
export const storeLua = `
for i = 1, count do records[2 * i] = records[2 * i] .. packs(hints[i] or isNew[i] or '') end
inChunks('MSET', nil, records)
inChunks('ZADD', 'due:' .. base, times)
for _, index in ipairs({'kept', 'dirty-sessions'}) do inChunks('ZREM', index .. ':' .. base, reopened) end`
