// What the cases of the warehouse write, and what must be there afterwards, counted in plain TypeScript: nothing here
// shares code with the loader or the views. Pure.
import type { ProduceRecord } from '@millrace/kafka'

/** An event as the cases make it. Its parts follow from its number alone, so every copy is the same. */
export interface MadeEvent {
  readonly eventId: string
  readonly eventType: string
  readonly timestampMs: number
  readonly userId?: string
  readonly anonymousId?: string
  readonly sessionId: string
  readonly properties: { readonly n: number }
}

const dayLengthMs = 86_400_000
const startMs = Date.UTC(2026, 3, 20)
const types = ['page_view', 'search', 'purchase', 'signup'] as const

/** The `n`-th event: times go back and forth over two months, so that batches touch several of them. */
export function makeEvent(n: number): MadeEvent {
  const user = n % 97
  const device = n % 61
  return {
    eventId: `e-${n}`,
    eventType: types[n % types.length] ?? types[0],
    timestampMs: startMs + ((n * 7_919) % 40) * dayLengthMs + ((n * 104_729) % dayLengthMs),
    ...(n % 3 === 0 ? {} : { userId: `u-${user}` }),
    ...(n % 4 === 0 ? {} : { anonymousId: `d-${device}` }),
    sessionId: `s-${Math.floor(n / 5)}`,
    properties: { n }
  }
}

/** The record of an event on the partition that its number names. */
export function toRecord(event: MadeEvent, partitions: number): ProduceRecord {
  const { timestampMs, ...rest } = event
  const at = new Date(timestampMs).toISOString()
  const value = Buffer.from(JSON.stringify({ ...rest, timestamp: at, receivedAt: at }))
  return { partition: event.properties.n % partitions, key: event.eventId, value }
}

/** What the warehouse shows of a project, each as texts that can be compared. */
export interface WarehouseFacts {
  /** How often the view shows each event id. */
  readonly events: ReadonlyMap<string, number>
  /** `type count sum` of the property `n`. */
  readonly sums: readonly string[]
  /** `kind id ms` */
  readonly firstSeen: readonly string[]
  /** `anonymousId eventId userId ms` */
  readonly links: readonly string[]
  /** `sessionId events startMs endMs` */
  readonly sessions: readonly string[]
}

/** What it must show of `events`, each id once. */
export function expectedFacts(events: Iterable<MadeEvent>): WarehouseFacts {
  const ids = new Map<string, number>()
  const sums = new Map<string, { count: number; sum: number }>()
  const firsts = new Map<string, number>()
  const links: string[] = []
  const sessions = new Map<string, { events: number; start: number; end: number }>()
  for (const event of events) {
    const { eventId, eventType, timestampMs, userId, anonymousId, sessionId, properties } = event
    ids.set(eventId, 1)
    const sum = sums.get(eventType) ?? { count: 0, sum: 0 }
    sums.set(eventType, { count: sum.count + 1, sum: sum.sum + properties.n })
    for (const key of [userId && `user ${userId}`, anonymousId && `anonymous ${anonymousId}`])
      if (key !== undefined && key !== '') firsts.set(key, Math.min(firsts.get(key) ?? timestampMs, timestampMs))
    if (userId !== undefined && anonymousId !== undefined)
      links.push(`${anonymousId} ${eventId} ${userId} ${timestampMs}`)
    const session = sessions.get(sessionId) ?? { events: 0, start: timestampMs, end: timestampMs }
    sessions.set(sessionId, {
      events: session.events + 1,
      start: Math.min(session.start, timestampMs),
      end: Math.max(session.end, timestampMs)
    })
  }
  return {
    events: ids,
    sums: [...sums].map(([type, { count, sum }]) => `${type} ${count} ${sum}`),
    firstSeen: [...firsts].map(([key, ms]) => `${key} ${ms}`),
    links,
    sessions: [...sessions].map(([id, { events: count, start, end }]) => `${id} ${count} ${start} ${end}`)
  }
}

/** One broken promise: a sentence and what shows it. */
export interface Gap {
  readonly problem: string
  readonly examples: readonly string[]
}

/** Everything about `found` that is not as `expected`. */
export function compareFacts(expected: WarehouseFacts, found: WarehouseFacts): readonly Gap[] {
  const ids = [...expected.events.keys()]
  const twice = [...found.events].filter(([, count]) => count > 1).map(([id, count]) => `${id} (${count} times)`)
  const gaps: Gap[] = [
    { problem: 'in the log, not in the view', examples: ids.filter((id) => !found.events.has(id)) },
    { problem: 'visible more than once', examples: twice },
    {
      problem: 'in the view, not in the log',
      examples: [...found.events.keys()].filter((id) => !expected.events.has(id))
    }
  ]
  for (const name of ['sums', 'firstSeen', 'links', 'sessions'] as const) {
    const [wanted, there] = [new Set(expected[name]), new Set(found[name])]
    gaps.push({ problem: `${name}: missing`, examples: [...wanted].filter((each) => !there.has(each)) })
    gaps.push({ problem: `${name}: not of this log`, examples: [...there].filter((each) => !wanted.has(each)) })
  }
  return gaps.filter(({ examples }) => examples.length > 0)
}
