// Random logs of several partitions with copies, late events and events that are timed by their receipt; and the calls
// that consumers make of their ranges.
import type { EventRow } from '@millrace/contracts'
import type { Random } from '@millrace/testkit/random'
import type { ApplyCall, ApplyReply } from '../src/apply.ts'
import { foldBatch, noRefusals } from '../src/fold.ts'
import type { FoldOptions, Refusals } from '../src/fold.ts'
import { builtInMetrics } from '../src/metrics.ts'
import type { MetricDefinition } from '../src/metrics.ts'
import { liveTiming } from '../src/timing.ts'
import { itemOf, rowOf } from './rows.ts'

/** When the logs begin. */
export const startMs = Date.UTC(2026, 5, 1, 10)
const minuteMs = 60_000

/** A metric of every kind that is not built in, with a cap that is reached. */
const own: readonly MetricDefinition[] = (['sum', 'min', 'max'] as const).map((kind) => ({
  name: `own_${kind}`,
  version: 1,
  effectiveFromMs: 0,
  where: [],
  measure: { kind, property: 'price' },
  dimensions: [{ from: 'column', name: 'path' }],
  cap: 3,
  granularities: ['1h']
}))
/** Every kind of metric. */
export const options: FoldOptions = {
  timing: liveTiming,
  metrics: [...builtInMetrics(['purchase']), ...own],
  conversionTypes: new Set(['purchase'])
}

/** `total` events over `partitions` logs, on average 40 s apart. */
export function makeLog(random: Random, partitions: number, total: number): EventRow[][] {
  const logs: EventRow[][] = Array.from({ length: partitions }, () => [])
  const made: EventRow[] = []
  let nowMs = startMs
  for (let number = 0; number < total; number++) {
    nowMs += random.below(80_000)
    const old = made.length > 0 && random.chance(0.2) ? random.pick(made) : undefined
    const ageMs = random.chance(0.1) ? 11 * minuteMs + random.below(50 * minuteMs) : random.below(9 * minuteMs)
    const eventId = old?.eventId ?? `e${number}-${random.below(1e6)}`
    // Whole minutes, so that events of a session tie; copies of a receipt-timed event have times of their own.
    const drawnMs = nowMs - ageMs - ((nowMs - ageMs) % minuteMs)
    const timestamp = old === undefined || isReceiptTimed(eventId) ? drawnMs : old.timestamp
    const partition = old !== undefined && random.chance(0.7) ? old.partition : random.below(partitions)
    const revenue = random.pick([undefined, 12.34, -3, 999_999_999.99, 'much', 2e9])
    const row = rowOf({
      eventId,
      eventType: old?.eventType ?? random.pick(['page_view', 'purchase', 'click']),
      userId: random.pick(['', 'u1', 'u2', 'ü😀']),
      anonymousId: `a${random.below(9)}`,
      sessionId: random.pick(['', 's1', 's2', `s${random.below(20)}`]),
      path: random.pick(['', '/a', '/b', '/c', '/d', '/é😀']),
      properties: JSON.stringify({ revenue, price: random.below(1_000) - 500 }),
      ...old,
      timestamp,
      appendedAt: nowMs,
      latenessMs: nowMs - timestamp,
      partition,
      offset: BigInt(logs[partition]?.length ?? 0)
    })
    made.push(row)
    logs[partition]?.push(row)
  }
  return logs
}

const isReceiptTimed = (eventId: string): boolean => /[789]$/.test(eventId)

/** A range that a consumer has in hand. */
export interface Hand {
  from: number
  to: number
  refusals: Refusals
}

/** A consumer's call for what it has in hand. */
export function callOf(logs: EventRow[][], partition: number, { from, to, refusals }: Hand, epoch = 1): ApplyCall {
  const rows = logs[partition]?.slice(from, to) ?? []
  const items = rows.map((row) => itemOf(row, isReceiptTimed(row.eventId)))
  const range = { epoch, partition, from: BigInt(from), to: BigInt(to), expired: 0 }
  const appendedAtMs = rows.at(-1)?.appendedAt ?? -1
  return foldBatch(items, { ...range, appendedAtMs }, options, refusals).call
}

/** What it has in hand after a reply. */
export function handAfter(hand: Hand, reply: ApplyReply): Hand {
  const at = (position: number): Hand => ({ from: position, to: position, refusals: noRefusals })
  switch (reply.kind) {
    case 'ok':
    case 'done':
      return at(hand.to)
    case 'gap':
      return at(Number(reply.position))
    case 'refold':
      return { ...hand, refusals: noRefusals }
    case 'duplicate': {
      const ids = new Set([...hand.refusals.ids, ...reply.ids])
      return { ...hand, refusals: { ids, deletedThrough: reply.deletedThrough } }
    }
    default:
      return hand
  }
}
