// Events of a small shop for the cases of the stream, with everything that the live state looks at: sessions of several
// events, visitors who log in on the way, pages, purchases, senders. Each event says itself what its sender must be
// recognised as (recount.ts), so that the recount needs no enrichment.
import type { Random } from '../../random.ts'
import type { Expected } from './recount.ts'

/** One event: its id, when it happened, and its bytes, which all its copies share. */
export interface StreamEvent {
  readonly eventId: string
  readonly atMs: number
  readonly value: Buffer
}

/** One record to write: an event, or anything else. `appendedAtMs` counts where topics have written append times. */
export interface Copy {
  readonly eventId: string
  readonly value: Buffer
  readonly appendedAtMs: number
  /** Instead of the partition of the event id. */
  readonly partition?: number
}

export interface EventsOptions {
  /** Begins all ids. */
  readonly run: string
  readonly sessions: number
  /** Sessions begin in [fromMs, toMs) and their events stay before `toMs`. */
  readonly fromMs: number
  readonly toMs: number
  /** Most events of a session; default 9. */
  readonly mostEvents?: number
  /** Longest time between two events of a session; default: as long as the span permits. */
  readonly gapMs?: number
}

/** The members of an event that a case may replace. */
export type Members = Readonly<Record<string, unknown>>

const types = ['page_view', 'page_view', 'page_view', 'product_view', 'add_to_cart', 'purchase'] as const

interface Sender {
  readonly members: Members
  readonly context: Members
  readonly expect: Expected
}

const phone =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1'
const desktop =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36'

const plainSender: Sender = {
  members: {},
  context: {},
  expect: { deviceType: '', country: '', trafficSource: 'direct' }
}

const senders: readonly Sender[] = [
  {
    members: { userAgent: phone, country: 'DE' },
    context: { campaign: { source: 'spring', medium: 'email' } },
    expect: { deviceType: 'mobile', country: 'DE', trafficSource: 'email' }
  },
  {
    members: { userAgent: desktop, country: 'JP' },
    context: { campaign: { source: 'words', medium: 'cpc' } },
    expect: { deviceType: 'desktop', country: 'JP', trafficSource: 'paid' }
  },
  plainSender
]

/** Sessions of events, in no order. */
export function makeEvents(random: Random, options: EventsOptions): readonly StreamEvent[] {
  const { run, sessions, fromMs, toMs, mostEvents = 9 } = options
  const span = toMs - fromMs
  const events: StreamEvent[] = []
  for (let session = 0; session < sessions; session++) {
    const count = 1 + random.below(mostEvents)
    const gapMs = Math.min(options.gapMs ?? span, Math.floor(span / count))
    let atMs = fromMs + random.below(Math.max(1, span - gapMs * count))
    const user = random.below(Math.max(1, sessions >> 1))
    const logsInAt = random.below(count * 2)
    const sender = random.pick(senders)
    for (let index = 0; index < count; index++) {
      const eventType = random.pick(types)
      events.push(
        makeEvent({
          eventId: `${run}-${String(session).padStart(5, '0')}-${String(index).padStart(3, '0')}`,
          eventType,
          atMs,
          // Some events belong to no session.
          ...(random.chance(0.05) ? {} : { sessionId: `${run}-s${session}` }),
          anonymousId: `anon-${user}`,
          ...(index >= logsInAt ? { userId: `user-${user}` } : {}),
          path: random.chance(0.1) ? '' : `/p/${random.below(20)}`,
          properties: eventType === 'purchase' ? { revenue: (random.below(2_000_000) - 200_000) / 1_000 } : {},
          sender: index === 0 || random.chance(0.5) ? sender : random.pick(senders)
        })
      )
      atMs += random.below(gapMs)
    }
  }
  return events
}

export interface EventParts {
  readonly eventId: string
  readonly eventType: string
  readonly atMs: number
  readonly path?: string
  readonly properties?: Members
  readonly sender?: Sender
  readonly [member: string]: unknown
}

/** An event as the gateway stores it, received when it happened unless a member says otherwise. */
export function makeEvent(parts: EventParts): StreamEvent {
  const { atMs, path = '', properties = {}, sender = plainSender, ...members } = parts
  const iso = new Date(atMs).toISOString()
  const { expect, context, members: sent } = sender
  const page = path === '' ? {} : { page: { path } }
  const event = {
    timestamp: iso,
    receivedAt: iso,
    ...sent,
    ...members,
    properties: { ...properties, expect },
    context: { ...context, ...page }
  }
  return { eventId: members.eventId, atMs, value: Buffer.from(JSON.stringify(event)) }
}

/** The events in another order. */
export function shuffle<T>(random: Random, values: readonly T[]): T[] {
  const shuffled = [...values]
  for (let index = shuffled.length - 1; index > 0; index--) {
    const other = random.below(index + 1)
    const held = shuffled[index] as T
    shuffled[index] = shuffled[other] as T
    shuffled[other] = held
  }
  return shuffled
}

/** Every event once and `share` of them again, once or twice, all shuffled. */
export function withCopies(random: Random, events: readonly StreamEvent[], share: number): readonly StreamEvent[] {
  const again = events.flatMap((event) => {
    if (!random.chance(share)) return []
    return random.chance(0.3) ? [event, event] : [event]
  })
  return shuffle(random, [...events, ...again])
}
