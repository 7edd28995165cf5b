// The deduplication lease: absent -> pending(token) -> committed. A mark says `committed` only after the log has
// acknowledged the event, so whoever reads "duplicate" may rely on it; losing a mark costs a copy, never an event.
import { hash, randomBytes } from 'node:crypto'
import { AppError } from '@millrace/kernel'
import type { Redis } from './redis.ts'
import { defineScript } from './redis-script.ts'

/** What a reservation found: the caller may publish, the event is stored already, or another attempt is under way. */
export type Reservation =
  | { readonly kind: 'new'; readonly token: string }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'busy' }

/** The place of one event in the deduplication store, computed once per event by `slot`. */
export interface DedupSlot {
  /** Start of the key, hash tag included; events with the same one share a script call. */
  readonly prefix: string
  /** End of the key, always 20 characters. */
  readonly digest: string
}

/** The lease protocol on Redis. Every call throws PIPE_REDIS_UNAVAILABLE or _REFUSED when Redis does not do its part. */
export interface DedupLease {
  /** Where (project, eventId) lives; 120 bits of a hash over both, so ids of any length cost the same. */
  slot(project: string, eventId: string): DedupSlot
  /** Takes the lease, under a token of this attempt alone, unless the event is committed or leased by someone. */
  reserve(slot: DedupSlot): Promise<Reservation>
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
const digestLength = 20
/** Events of one script call at most; it bounds the time that Redis is held. */
const maxCallSize = 500

// The digests of a call travel as one text: an argument for each would cost the client more than all of the rest. The
// keys share the hash tag of KEYS[1], so a cluster finds them where it ran the script.
const eachKey = (digests: string, body: string): string => `for i = 1, #${digests} / ${digestLength} do
  local key = KEYS[1] .. string.sub(${digests}, (i - 1) * ${digestLength} + 1, i * ${digestLength})
  ${body}
end`

// Marks first: an attempt of this call at an event whose mark is in it is a duplicate already.
const stepLua = `${eachKey('ARGV[4]', `redis.call('SET', key, '${committed}', 'PX', ARGV[5])`)}
local flags = {}
${eachKey(
  'ARGV[1]',
  `local held = redis.call('GET', key)
  if not held then
    redis.call('SET', key, ARGV[3] .. i, 'PX', ARGV[2])
    flags[i] = 'N'
  elseif held == '${committed}' then
    flags[i] = 'D'
  else
    flags[i] = 'B'
  end`
)}
return table.concat(flags)`

const releaseLua = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

const duplicate: Reservation = { kind: 'duplicate' }
const busy: Reservation = { kind: 'busy' }

/**
 * The lease on `redis`, whose client settings decide how long a call may take. Reservations and marks of one prefix that
 * come while a call is under way share the next one.
 */
export function createDedupLease(options: DedupLeaseOptions): DedupLease {
  const { redis, shards, leaseMs, committedMs } = options
  const step = defineScript(redis, stepLua, String)
  const release = defineScript(redis, releaseLua, Number)
  const owner = randomBytes(9).toString('base64url')
  let calls = 0
  const lanes = createLanes(async (prefix, reserving, committing) => {
    const token = `${owner}.${(calls++).toString(36)}.`
    const args = [digestsOf(reserving), leaseMs, token, digestsOf(committing), committedMs]
    const flags = await step.run({ keys: [prefix], args })
    return (index) => {
      if (flags[index] === 'N') return { kind: 'new', token: `${token}${index + 1}` }
      return flags[index] === 'D' ? duplicate : busy
    }
  })
  return {
    slot: (project, eventId) => {
      const digest = hash('sha256', `${project}\0${eventId}`, 'base64url').slice(0, digestLength)
      const shard = shards === 1 ? 0 : shardOf(digest, shards)
      return { prefix: `event:{${project}.${shard}}:`, digest }
    },
    reserve: lanes.reserve,
    commit: lanes.commit,
    release: async ({ prefix, digest }, token) => {
      await release.run({ keys: [prefix + digest], args: [token] })
    },
    verifyLayout: () => verifyLayout(redis, shards)
  }
}

interface Call<R> {
  readonly digest: string
  readonly resolve: (result: R) => void
  readonly reject: (error: unknown) => void
}

/** The calls of one prefix, which is one cluster slot. */
interface Lane {
  reserving: Call<Reservation>[]
  committing: Call<void>[]
}

/** One script call; resolves with what became of each reservation. */
type Step = (
  prefix: string,
  reserving: readonly Call<Reservation>[],
  committing: readonly Call<void>[]
) => Promise<(index: number) => Reservation>

/**
 * One call per prefix at a time, made at the end of the turn: under load calls gather while Redis works, and a write to
 * its socket costs as much as dozens of them. When a call fails those that wait for it fail too: they would only find
 * out later.
 */
function createLanes(step: Step): Pick<DedupLease, 'reserve' | 'commit'> {
  const lanes = new Map<string, Lane>()
  const open = (prefix: string): Lane => {
    const known = lanes.get(prefix)
    if (known !== undefined) return known
    const lane: Lane = { reserving: [], committing: [] }
    lanes.set(prefix, lane)
    setImmediate(() => void run(prefix, lane))
    return lane
  }
  const run = async (prefix: string, lane: Lane): Promise<void> => {
    while (lane.reserving.length + lane.committing.length > 0) {
      const reserving = lane.reserving.splice(0, maxCallSize)
      const committing = lane.committing.splice(0, maxCallSize)
      try {
        const reservationAt = await step(prefix, reserving, committing)
        for (const [index, { resolve }] of reserving.entries()) resolve(reservationAt(index))
        for (const { resolve } of committing) resolve()
      } catch (error) {
        const failed = [...reserving, ...committing, ...lane.reserving.splice(0), ...lane.committing.splice(0)]
        for (const { reject } of failed) reject(error)
      }
    }
    lanes.delete(prefix)
  }
  return {
    reserve: ({ prefix, digest }) =>
      new Promise((resolve, reject) => void open(prefix).reserving.push({ digest, resolve, reject })),
    commit: ({ prefix, digest }) =>
      new Promise((resolve, reject) => void open(prefix).committing.push({ digest, resolve, reject }))
  }
}

function digestsOf(calls: readonly Call<never>[]): string {
  let digests = ''
  for (const { digest } of calls) digests += digest
  return digests
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
