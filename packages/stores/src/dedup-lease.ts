// The deduplication lease: absent -> leased(token) -> marked. A mark says "stored", and only an acknowledgement of the log
// sets it, so whoever reads "duplicate" may rely on it; losing a mark costs a copy, never an event.
import { randomBytes } from 'node:crypto'
import { AppError, systemClock } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { reserveBehind } from './dedup-before.ts'
import { createDedupLanes } from './dedup-lanes.ts'
import type { Reservation, ReserveItem } from './dedup-lanes.ts'
import { bucketCount, findLua, layoutLua, longestLeaseMs, releaseAnyLua, releaseLua, stepLua } from './dedup-scripts.ts'
import { createSlots, digestOf } from './dedup-slot.ts'
import type { DedupSlot } from './dedup-slot.ts'
import type { Redis } from './redis.ts'
import { defineScript } from './redis-script.ts'

export type { Reservation, ReserveItem } from './dedup-lanes.ts'
export type { DedupSlot } from './dedup-slot.ts'

/** A lease held, to be given back. */
export interface HeldLease {
  readonly slot: DedupSlot
  readonly token: string
}

/** The lease protocol on Redis, for the events of a request at a time. */
export interface DedupLease {
  /** Where the event (project, log generation, eventId) lives. */
  slot(project: string, generation: number, eventId: string): DedupSlot
  /** Takes the lease of each event that is neither marked nor leased. One result per item; never rejects. */
  reserveAll(items: readonly ReserveItem[]): Promise<readonly Reservation[]>
  /**
   * Marks events as stored, whoever holds their leases: only ever called after an acknowledgement of the log. Resolves
   * with those that could not be marked; never rejects.
   */
  commitAll(slots: readonly DedupSlot[]): Promise<readonly DedupSlot[]>
  /**
   * Gives leases back that are still held under their token: only ever called after the log refused the event for
   * certain. Resolves with for how many Redis did not answer; never rejects.
   */
  releaseAll(leases: readonly HeldLease[]): Promise<number>
  /**
   * Throws PIPE_CONFIG_INVALID when the marks in this Redis were written with another number of shards, and
   * PIPE_REDIS_UNAVAILABLE or _REFUSED when Redis does not say.
   */
  verifyLayout(): Promise<void>
}

export interface DedupLeaseOptions {
  readonly redis: Redis
  /** Hash tags per project; with Redis Cluster each tag is one slot. */
  readonly shards: number
  /** The number before a change: marks of both are looked up, new ones are written in `shards`. */
  readonly previousShards?: number | undefined
  /** Longest life of a lease whose holder died. Must exceed the longest publish; at most `longestLeaseMs`. */
  readonly leaseMs: number
  /** How long a stored event is recognised at least; at most a quarter longer. */
  readonly windowMs: number
  /** How long the first receipt of an event is kept whose attempts all failed. Default 24 h. */
  readonly receiptMs?: number
  readonly clock?: Clock
  /** A mistake for the fault harness to find: `releaseAll` gives back whoever's lease it is. */
  readonly releasesAnyLease?: boolean
}

const layoutKey = 'event:layout'
/** Events of one script call at most; it bounds the time that Redis is held. */
const maxCallSize = 500

const duplicate: Reservation = { kind: 'duplicate' }
const busy: Reservation = { kind: 'busy' }
const unsaid: Reservation = { kind: 'failed' }

/** The lease on `redis`, whose client settings decide how long a call may take. */
export function createDedupLease(options: DedupLeaseOptions): DedupLease {
  const { redis, shards, previousShards, leaseMs, windowMs, receiptMs = 86_400_000, clock = systemClock } = options
  if (leaseMs > longestLeaseMs) {
    throw new AppError('PIPE_CONFIG_INVALID', `a lease of ${leaseMs} ms; at most ${longestLeaseMs} ms are looked back`)
  }
  const bucketSeconds = Math.max(1, Math.ceil(windowMs / 1_000 / (bucketCount - 1)))
  const step = defineScript(redis, stepLua, toStepReply)
  const find = defineScript(redis, findLua, String)
  const release = defineScript(redis, options.releasesAnyLease === true ? releaseAnyLua : releaseLua, Number)
  const owner = randomBytes(9).toString('base64url')
  let calls = 0
  const lanes = createDedupLanes(
    async (prefix, reserving, marking) => {
      const token = `${owner}.${(calls++).toString(36)}`
      const head = [
        bucketSeconds,
        bucketSeconds * bucketCount,
        wordsOf(reserving.map(({ slot }) => slot)),
        leaseMs,
        token
      ]
      const receipts = reserving.flatMap(({ receipt }, index) => (receipt === undefined ? [] : [index + 1, receipt]))
      const { flags, kept } = await step.run({
        keys: [prefix],
        args: [...head, wordsOf(marking), receiptMs, ...receipts]
      })
      const taken: Reservation = { kind: 'new', token }
      return reserving.map((_, index) => {
        if (flags[index] === 'D') return duplicate
        if (flags[index] === 'B') return busy
        // No word about this event: it is not known whether somebody else has it.
        if (flags[index] !== 'N') return unsaid
        return kept === undefined ? taken : { kind: 'new', token, receipt: kept.get(index) }
      })
    },
    maxCallSize,
    clock
  )
  const isChanging = previousShards !== undefined && previousShards !== shards
  const findBefore = (prefix: string, slots: readonly DedupSlot[]): Promise<string> =>
    find.run({ keys: [prefix], args: [bucketSeconds, wordsOf(slots)] })
  return {
    slot: createSlots(shards, isChanging ? previousShards : undefined),
    reserveAll: isChanging ? reserveBehind(lanes.reserve, findBefore, ({ before }) => before) : lanes.reserve,
    commitAll: lanes.mark,
    async releaseAll(leases) {
      const byPrefix = Map.groupBy(leases, ({ slot }) => slot.prefix)
      const failed = await Promise.all(
        [...byPrefix].map(async ([prefix, held]) => {
          const pairs = held.flatMap(({ slot, token }) => [digestOf(slot), token])
          return await release.run({ keys: [prefix], args: pairs }).then(
            () => 0,
            () => held.length
          )
        })
      )
      return failed.reduce((sum, each) => sum + each, 0)
    },
    verifyLayout: () => verifyLayout(redis, shards, previousShards)
  }
}

function wordsOf(slots: readonly DedupSlot[]): string {
  let words = ''
  for (const { word } of slots) words += word
  return words
}

interface StepReply {
  readonly flags: string
  /** Receipts that were kept before, by place. */
  readonly kept: ReadonlyMap<number, string> | undefined
}

function toStepReply(reply: unknown): StepReply {
  if (!Array.isArray(reply)) return { flags: String(reply), kept: undefined }
  const [flags, ...pairs] = reply as readonly unknown[]
  const kept = new Map<number, string>()
  for (let at = 0; at + 1 < pairs.length; at += 2) kept.set(Number(pairs[at]) - 1, String(pairs[at + 1]))
  return { flags: String(flags), kept }
}

async function verifyLayout(redis: Redis, shards: number, previousShards: number | undefined): Promise<void> {
  const layout = defineScript(redis, layoutLua, String)
  const own = `shards=${shards}`
  const before = previousShards === undefined ? own : `shards=${previousShards}`
  const stored = await layout.run({ keys: [layoutKey], args: [own, before] })
  if (stored === own) return
  throw new AppError(
    'PIPE_CONFIG_INVALID',
    `the deduplication marks were written with ${stored}, this process is set to ${own}; use the same DEDUP_SHARDS, or ` +
      `set DEDUP_SHARDS_PREVIOUS=${stored.replace('shards=', '')} until a window and a quarter have passed`,
    { details: { stored, configured: own } }
  )
}
