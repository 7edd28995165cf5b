// The one place where tests make events: valid ones that differ, and each kind of input that the edge refuses.
import { createRandom } from './random.ts'

/** An event as a client sends it. */
export interface ClientEvent {
  eventId: string
  eventType: string
  userId?: string
  anonymousId?: string
  sessionId?: string
  timestamp?: string
  sentAt?: string
  properties?: Record<string, unknown>
  context?: Record<string, unknown>
}

/** A request body that must be refused: what is wrong with it, its bytes, and the status the edge must answer. */
export interface BadBody {
  readonly name: string
  readonly body: string | Uint8Array
  readonly status: 400 | 413 | 422
}

export interface EventFactory {
  /** A valid event with a new id; `overrides` replace top-level fields. */
  event(overrides?: Partial<ClientEvent>): ClientEvent
  /** The next kind of bad body in turn, each around an event id of its own that must never be seen in a log. */
  bad(): BadBody & { readonly eventId: string }
}

const types = ['page_view', 'product_view', 'add_to_cart', 'checkout', 'purchase'] as const

/**
 * Events that depend on the seed alone, but for their ids' `run` part (default: the seed) and the time, which is
 * `now()` (milliseconds) when the event is made.
 */
export function createEventFactory(
  seed: number | string,
  options: { readonly run?: string; readonly now?: () => number } = {}
): EventFactory {
  const random = createRandom(seed)
  const { run = String(seed), now = Date.now } = options
  let made = 0
  let badMade = 0
  const event = (overrides: Partial<ClientEvent> = {}): ClientEvent => {
    const number = made++
    const user = random.below(500)
    return {
      eventId: `${run}-${String(number).padStart(7, '0')}`,
      eventType: random.pick(types),
      anonymousId: `anon-${user}`,
      ...(random.chance(0.4) ? { userId: `user-${user}` } : {}),
      sessionId: `session-${user}-${random.below(5)}`,
      timestamp: new Date(now() - random.below(60_000)).toISOString(),
      properties: {
        number,
        price: random.below(10_000) / 100,
        label: random.pick(['plain', 'größe', '漢字', '"quoted"'])
      },
      context: { page: { path: `/p/${random.below(50)}` }, locale: 'en' },
      ...overrides
    }
  }
  return {
    event,
    bad() {
      const base = event()
      // The remainder is below the length, so the maker exists.
      const make = badMakers[badMade++ % badMakers.length] as BadMaker
      return { ...make(base), eventId: base.eventId }
    }
  }
}

type BadMaker = (event: ClientEvent) => BadBody

const json = (value: unknown): string => JSON.stringify(value)

/** Replaces the properties of `event` by literal JSON text, for what JSON.stringify cannot write. */
const withProperties = (event: ClientEvent, text: string): string =>
  json({ ...event, properties: '@' }).replace('"@"', text)

/** Every kind of bad body, in a fixed order. */
export const badMakers: readonly BadMaker[] = [
  (event) => ({ name: 'broken JSON', status: 400, body: json(event).slice(0, -1) }),
  (event) => ({ name: 'a wrong type', status: 422, body: json({ ...event, userId: 7 }) }),
  (event) => ({ name: 'no event type', status: 422, body: json({ ...event, eventType: undefined }) }),
  (event) => ({ name: 'properties that are a list', status: 422, body: json({ ...event, properties: [] }) }),
  (event) => ({ name: 'an unknown field', status: 422, body: json({ ...event, colour: 'red' }) }),
  (event) => ({ name: "a client's own projectId", status: 422, body: json({ ...event, projectId: 'other' }) }),
  (event) => ({
    name: "a client's own receivedAt",
    status: 422,
    body: json({ ...event, receivedAt: '2020-01-01T00:00:00.000Z' })
  }),
  (event) => ({ name: '257 KiB', status: 413, body: json({ ...event, properties: { pad: 'x'.repeat(257 * 1024) } }) }),
  (event) => ({ name: '__proto__', status: 422, body: withProperties(event, '{"__proto__":{"admin":true}}') }),
  (event) => ({
    name: '10,000 levels',
    status: 422,
    body: withProperties(event, `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`)
  }),
  (event) => ({ name: 'a number beyond 2^53', status: 422, body: withProperties(event, '{"n":9007199254740993}') }),
  (event) => ({
    name: 'bytes that are not UTF-8',
    status: 400,
    body: Buffer.from(json({ ...event, properties: { s: '\u00c3\u0028\u00ff' } }), 'latin1')
  })
]
