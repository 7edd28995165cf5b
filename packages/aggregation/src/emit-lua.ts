// The scripts of emission (emit.ts). Counting a HyperLogLog may write its cached estimate, so Redis calls the scripts
// that read windows writers; `allow-oom` lets them run when memory is full, and so the confirmations, which free it.
import { openLua, sessionLua, windowLua } from './lua-parts.ts'

const liveLua = `${openLua}
local torn = call('HMGET', meta, 'stage', 'torn')
if not torn[1] or call('GET', KEYS[1]) ~= a.e then return {'EPOCH'} end`
const wholeLua = `${liveLua}
if torn[2] then return {'BROKEN', torn[2]} end`

/** ARGV[1]: epoch, index, offset, limit. Answers names in the order of the index. */
export const dirtyLua = `#!lua flags=no-writes
${wholeLua}
return {'OK', call('ZRANGE', a.index .. ':' .. base, a.offset, a.offset + a.limit - 1)}`

/** ARGV[1]: epoch, names. Answers name, fields and unique counts of those that wait. */
export const dirtyWindowsLua = `#!lua flags=allow-oom
${wholeLua}
${windowLua}
local waits, windows = #a.names > 0 and call('ZMSCORE', 'dirty:' .. base, unpack(a.names)) or {}, {}
for i, name in ipairs(a.names) do
  if waits[i] then windows[#windows + 1] = readWindow(name) end
end
return {'OK', windows}`

/** ARGV[1]: epoch, names. Answers id and members of those that wait. */
export const dirtySessionsLua = `#!lua flags=no-writes
${wholeLua}
${sessionLua}
local waits, sessions = #a.names > 0 and call('ZMSCORE', 'dirty-sessions:' .. base, unpack(a.names)) or {}, {}
for i, id in ipairs(a.names) do
  local text = waits[i] and call('GET', 'analytics:session:' .. base .. ':' .. id)
  if text then sessions[#sessions + 1] = {id, sessionOf(text)} end
end
return {'OK', sessions}`

/** ARGV[1]: epoch, names, revisions. A window that has changed since goes on waiting. */
export const confirmWindowsLua = `#!lua flags=allow-oom
${liveLua}
local said = {}
for i, name in ipairs(a.names) do
  local h = call('HMGET', 'metric:' .. base .. ':' .. name, 'n', 'x')
  if not h[1] or 2 * tonumber(h[1]) + (h[2] and 1 or 0) == a.revisions[i] then said[#said + 1] = name end
end
inChunks('ZREM', 'dirty:' .. base, said)
return {'OK'}`

/** As \`confirmWindowsLua\`; events and closed are members 3 and 6 of a session. */
export const confirmSessionsLua = `#!lua flags=allow-oom
${liveLua}
${sessionLua}
local said = {}
for i, id in ipairs(a.names) do
  local text = call('GET', 'analytics:session:' .. base .. ':' .. id)
  local s = text and sessionOf(text)
  if not text or (s and 2 * s[3] + s[6] == a.revisions[i]) then said[#said + 1] = id end
end
inChunks('ZREM', 'dirty-sessions:' .. base, said)
return {'OK'}`
