// `apply` on Redis: one call and one reply per batch.
import { defineScript } from '@millrace/stores/redis-script'
import type { Redis, RedisArg } from '@millrace/stores/redis'
import type { ApplyCall, ApplyReply } from './apply.ts'
import { applyLua } from './apply-lua.ts'
import { digestLength } from './fold.ts'
import { pointerKey } from './keys.ts'
import { unknownReply } from './script-replies.ts'
import { sessionBytes } from './sessions-lua.ts'
import type { SessionMerge } from './sessions.ts'
import type { ValueDelta, WindowDelta } from './windows.ts'

/** What the script answers beyond the reducer: a key holds what it must not, and nothing was written. */
export type RedisApplyReply = ApplyReply | { readonly kind: 'wrong-type'; readonly key: string }

/**
 * Applies `call` to the state of `project`. `callId` names the call in the `torn` marker. Throws PIPE_REDIS_UNAVAILABLE
 * when the outcome is not known or Redis is full (call again: the answer is then done, gap or ok), and
 * PIPE_REDIS_REFUSED when Redis failed the script in the middle: then the next reply is `broken`.
 */
export type RedisApply = (project: string, call: ApplyCall, callId: string) => Promise<RedisApplyReply>

/** Binds the script to `redis`. */
export function createRedisApply(redis: Redis): RedisApply {
  const script = defineScript(redis, applyLua, toReply)
  return (project, call, callId) => script.run({ keys: [pointerKey(project)], args: toArgs(call, callId) })
}

/** Sums travel and are kept as high * 2^40 + low: HINCRBY has 63 bits, and a Lua number is exact up to 53. */
const lowBits = 40n

function toArgs(call: ApplyCall, callId: string): readonly RedisArg[] {
  const { hours } = call
  const body = JSON.stringify({
    e: String(call.epoch),
    p: call.partition,
    f: String(call.from),
    t: String(call.to),
    a: call.appendedAtMs,
    c: call.clockMs,
    l: call.late,
    x: call.closed,
    r: call.expired,
    id: callId,
    h: hours.map(({ hour }) => hour),
    o: call.leftOut.map(({ id, hours: possible }) => [id, possible]),
    ...toWindowArgs(call.windows),
    s: call.sessions.map(({ sessionId }) => sessionId)
  })
  const ids = hours.flatMap(({ ids: own, elsewhere }) => [own.join(''), elsewhere.join('')])
  return [body, ...ids, ...toSessionArgs(call.sessions)]
}

/** Windows, each with the place of its values among `v`: those of a minute and of its hour are most often the same. */
function toWindowArgs(windows: readonly WindowDelta[]): {
  readonly w: readonly unknown[]
  readonly v: readonly unknown[]
} {
  const places = new Map<readonly ValueDelta[], number>()
  const placeOf = (values: readonly ValueDelta[]): number => {
    const place = places.get(values) ?? places.size + 1
    places.set(values, place)
    return place
  }
  const w = windows.map(({ name, startMs, closeAtMs, deleteAtMs, events, cap, values }) => [
    name,
    startMs,
    closeAtMs,
    deleteAtMs,
    events,
    cap,
    placeOf(values)
  ])
  return { w, v: [...places.keys()].map(toValueColumns) }
}

/** Dimensions, counts, and where there are any high and low parts of sums, minima, maxima and members: lists of a length. */
function toValueColumns(values: readonly ValueDelta[]): readonly unknown[] {
  const columns: unknown[] = [values.map(({ dimension }) => dimension), values.map(({ count }) => count)]
  const sums = values.some(({ sum }) => sum !== 0n)
  columns.push(sums && values.map(({ sum }) => Number(sum >> lowBits)))
  columns.push(sums && values.map(({ sum }) => Number(BigInt.asUintN(Number(lowBits), sum))))
  columns.push(values.some(({ min }) => min !== undefined) && values.map(({ min }) => min ?? false))
  columns.push(values.some(({ max }) => max !== undefined) && values.map(({ max }) => max ?? false))
  columns.push(values.some(({ members }) => members !== undefined) && values.map(({ members }) => members ?? []))
  return columns
}

/**
 * What the script unpacks by `sessionFormat` and `claimFormat`: a row of numbers for each session, and its claims, which
 * are JSON and hold no zero byte, with one behind each. Lua reads this several times as fast as JSON, and no quotation mark
 * is escaped and read back. An exit that is the entry is left out.
 */
function toSessionArgs(merges: readonly SessionMerge[]): readonly [Buffer, string] {
  const numbers = Buffer.allocUnsafe(merges.length * sessionBytes)
  const view = new DataView(numbers.buffer, numbers.byteOffset, numbers.byteLength)
  let claims = ''
  let at = 0
  for (const { firstMs, lastMs, events, pageViews, converted, first, entry, exit, user, visitors } of merges) {
    view.setFloat64(at, firstMs, true)
    view.setFloat64(at + 8, lastMs, true)
    view.setUint32(at + 16, events, true)
    view.setUint32(at + 20, pageViews, true)
    view.setUint32(at + 24, converted ? 1 : 0, true)
    for (let index = 0; index < 4; index++) view.setUint32(at + 28 + 4 * index, visitors?.[index] ?? 0, true)
    claims += `${first}\0${entry}\0${exit === entry ? '' : exit}\0${user}\0`
    at += sessionBytes
  }
  return [numbers, claims]
}

function toReply(reply: unknown): RedisApplyReply {
  const [kind, first, second] = Array.isArray(reply) ? reply.map(String) : []
  switch (kind) {
    case 'OK':
      return { kind: 'ok' }
    case 'EPOCH':
      return { kind: 'epoch' }
    case 'SEALED':
      return { kind: 'sealed' }
    case 'REFOLD':
      return { kind: 'refold' }
    case 'BROKEN':
      return { kind: 'broken', torn: first ?? '' }
    case 'TYPE':
      return { kind: 'wrong-type', key: first ?? '' }
    case 'DONE':
      return { kind: 'done', position: BigInt(first ?? 0) }
    case 'GAP':
      return { kind: 'gap', position: BigInt(first ?? 0) }
    case 'DUP':
      return { kind: 'duplicate', ids: digestsIn(second ?? ''), deletedThrough: Number(first) }
    default:
      throw unknownReply(String(kind))
  }
}

function digestsIn(text: string): readonly string[] {
  return Array.from({ length: text.length / digestLength }, (_, index) =>
    text.slice(index * digestLength, (index + 1) * digestLength)
  )
}
