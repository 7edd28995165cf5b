// The deduplication lease: absent -> pending(token) -> committed. A mark says `committed` only after the log has
// acknowledged the event, so whoever reads "duplicate" may rely on it; losing a mark costs a copy, never an event.
import { hash } from 'node:crypto'
import { AppError } from '@millrace/kernel'
import type { Redis } from './redis.ts'
import { defineScript } from './redis-script.ts'

/** What a reservation found: the caller may publish, the event is stored already, or another attempt is under way. */
export type Reservation = 'new' | 'duplicate' | 'busy'

/** The place of one event in the deduplication store, computed once per event by `slot`. */
export interface DedupSlot {
  readonly key: string
  readonly shard: string
}

/** The lease protocol on Redis. Every call throws PIPE_REDIS_UNAVAILABLE or _REFUSED when Redis does not do its part. */
export interface DedupLease {
  /** Where (project, eventId) lives; 120 bits of a hash over both, so ids of any length cost the same. */
  slot(project: string, eventId: string): DedupSlot
  /** Takes the lease for `token` unless the event is committed or leased by someone. */
  reserve(slot: DedupSlot, token: string): Promise<Reservation>
  /** Marks the event as stored, whoever holds the lease: only ever called after an acknowledgement of the log. */
  commit(slot: DedupSlot): Promise<void>
  /** Gives the lease back if it is still `token`'s: only ever called after the log refused the event for certain. */
  release(slot: DedupSlot, token: string): Promise<void>
  /** Throws PIPE_CONFIG_INVALID when the marks in this Redis were written with another number of shards. */
  verifyLayout(): Promise<void>
}

export interface DedupLeaseOptions {
  readonly redis: Redis
  /** Hash tags per project; with Redis Cluster each tag is one slot. Must not change while marks live. */
  readonly shards: number
  /** Longest life of a lease whose holder died. Must exceed the longest publish. */
  readonly leaseMs: number
  /** How long a stored event is recognised. */
  readonly committedMs: number
}

const committed = 'C'
const layoutKey = 'event:layout'
/** Arguments of one script call at most; Lua unpacks none of them, this only bounds the time Redis is held. */
const maxCallSize = 500

const reserveLua = `local flags = {}
for i = 1, #KEYS do
  local held = redis.call('GET', KEYS[i])
  if not held then
    redis.call('SET', KEYS[i], ARGV[i + 1], 'PX', ARGV[1])
    flags[i] = 'N'
  elseif held == '${committed}' then
    flags[i] = 'D'
  else
    flags[i] = 'B'
  end
end
return table.concat(flags)`

const commitLua = `for i = 1, #KEYS do redis.call('SET', KEYS[i], '${committed}', 'PX', ARGV[1]) end
return #KEYS`

const releaseLua = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

/** The lease on `redis`, whose client settings decide how long a call may take. Calls of one turn share a script. */
export function createDedupLease(options: DedupLeaseOptions): DedupLease {
  const { redis, shards } = options
  const leaseMs = String(options.leaseMs)
  const committedMs = String(options.committedMs)
  const reserve = defineScript(redis, reserveLua, String)
  const commit = defineScript(redis, commitLua, Number)
  const release = defineScript(redis, releaseLua, Number)
  const reserves = createCallBatcher<string, Reservation>(async (keys, tokens) => {
    const flags = await reserve.run({ keys, args: [leaseMs, ...tokens] })
    return keys.map((_, index) => (flags[index] === 'N' ? 'new' : flags[index] === 'D' ? 'duplicate' : 'busy'))
  })
  const commits = createCallBatcher<undefined, undefined>(async (keys) => {
    await commit.run({ keys, args: [committedMs] })
    return keys.map(() => undefined)
  })
  return {
    slot: (project, eventId) => {
      const digest = hash('sha256', `${project}\0${eventId}`, 'base64url').slice(0, 20)
      const shard = `${project}.${shards === 1 ? 0 : shardOf(digest, shards)}`
      return { key: `event:{${shard}}:${digest}`, shard }
    },
    reserve: (slot, token) => reserves.call(slot, token),
    commit: (slot) => commits.call(slot, undefined),
    release: async (slot, token) => {
      await release.run({ keys: [slot.key], args: [token] })
    },
    verifyLayout: () => verifyLayout(redis, shards)
  }
}

interface CallBatcher<A, R> {
  call(slot: DedupSlot, argument: A): Promise<R>
}

interface Call<A, R> {
  readonly key: string
  readonly argument: A
  readonly resolve: (result: R) => void
  readonly reject: (error: unknown) => void
}

/** Collects the calls of one turn of the event loop and hands them to `send`, one shard (one cluster slot) at a time. */
function createCallBatcher<A, R>(send: (keys: string[], args: A[]) => Promise<readonly R[]>): CallBatcher<A, R> {
  const waiting = new Map<string, Call<A, R>[]>()
  const flush = (): void => {
    const shards = [...waiting.values()]
    waiting.clear()
    for (const calls of shards) {
      for (let from = 0; from < calls.length; from += maxCallSize) void settle(calls.slice(from, from + maxCallSize))
    }
  }
  const settle = async (calls: readonly Call<A, R>[]): Promise<void> => {
    try {
      const results = await send(
        calls.map(({ key }) => key),
        calls.map(({ argument }) => argument)
      )
      // `send` answers once per key, in order; the cast follows from that.
      for (const [index, call] of calls.entries()) call.resolve(results[index] as R)
    } catch (error) {
      for (const call of calls) call.reject(error)
    }
  }
  return {
    call: ({ key, shard }, argument) =>
      new Promise((resolve, reject) => {
        if (waiting.size === 0) setImmediate(flush)
        const calls = waiting.get(shard)
        const call = { key, argument, resolve, reject }
        if (calls === undefined) waiting.set(shard, [call])
        else calls.push(call)
      })
  }
}

async function verifyLayout(redis: Redis, shards: number): Promise<void> {
  const layout = `shards=${shards}`
  await redis.command('SET', layoutKey, layout, 'NX')
  const stored = await redis.command('GET', layoutKey)
  if (stored === null || stored === layout) return
  throw new AppError(
    'PIPE_CONFIG_INVALID',
    `the deduplication marks were written with ${String(stored)}, this process is set to ${layout}; use the same DEDUP_SHARDS`,
    { details: { stored: String(stored), configured: layout } }
  )
}

function shardOf(digest: string, shards: number): number {
  let mixed = 0
  for (let index = 0; index < 5; index++) mixed = (mixed * 64 + digest.charCodeAt(index)) | 0
  return (mixed >>> 0) % shards
}
