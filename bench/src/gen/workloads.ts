// Deterministic workloads: the same seed gives the same bytes, and every event of a run has an id of its own.
import { createRandom } from '@millrace/testkit/random'
import type { Random } from '@millrace/testkit/random'

/** Renders request bodies, one event each. */
export interface Workload {
  readonly name: string
  /** The next `count` bodies. */
  render(count: number): readonly Buffer[]
}

const types = [
  'page_view',
  'page_view',
  'page_view',
  'product_view',
  'product_view',
  'add_to_cart',
  'purchase'
] as const
const users = 50_000
const zipfExponent = 1.05
/** 2026-01-01T00:00:00Z; events are a second apart and never older than the edge accepts for years. */
const firstEventMs = 1_767_225_600_000

/** The next event of a workload, as JSON text. */
export type NextEvent = () => string

/** About so many bytes an event has. */
export type EventSize = 300 | 900

const filler = 'the quick brown fox jumps over the lazy dog and returns to where it came from, unhurried; '.repeat(7)

/** Events of a shop, users by Zipf. `run` starts every id, so that runs do not meet. */
export function createEvents(seed: number, run: string, size: EventSize = 300): NextEvent {
  const random = createRandom(seed)
  const nextUser = createZipf(users, zipfExponent, random)
  const more = size === 300 ? undefined : { description: filler.slice(0, 590) }
  let made = 0
  return () => {
    const number = made++
    const user = nextUser()
    return JSON.stringify({
      eventId: `${run}-${number.toString(36).padStart(8, '0')}`,
      eventType: random.pick(types),
      anonymousId: `anon-${user.toString(36).padStart(6, '0')}`,
      sessionId: `session-${user.toString(36).padStart(6, '0')}-${random.below(4)}`,
      timestamp: new Date(firstEventMs + number * 10).toISOString(),
      properties: {
        price: random.below(100_000) / 100,
        quantity: 1 + random.below(5),
        sku: `sku-${random.below(9_000)}`,
        ...more
      },
      context: { page: { path: `/products/${random.below(9_000)}`, title: 'A product of the shop' } }
    })
  }
}

/** W1: single events of about 300 bytes. */
export function createW1(seed: number, run: string): Workload {
  return createSingles('W1', createEvents(seed, run))
}

/** W2: single events of about 900 bytes. */
export function createW2(seed: number, run: string): Workload {
  return createSingles('W2', createEvents(seed, run, 900))
}

function createSingles(name: string, next: NextEvent): Workload {
  return { name, render: (count) => Array.from({ length: count }, () => Buffer.from(next())) }
}

/** Ranks from 0 on, rank k with a weight of 1 / (k + 1)^exponent. */
export function createZipf(count: number, exponent: number, random: Random): () => number {
  const cumulative = new Float64Array(count)
  let total = 0
  for (let rank = 0; rank < count; rank++) {
    total += 1 / (rank + 1) ** exponent
    cumulative[rank] = total
  }
  return () => {
    const target = random() * total
    let low = 0
    let high = count - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if ((cumulative[middle] ?? 0) <= target) low = middle + 1
      else high = middle
    }
    return low
  }
}
