import { createManualClock } from '@millrace/kernel'
import { describe, expect, it } from 'vitest'
import { startFeed } from './feed.ts'
import type { FeedOptions } from './feed.ts'
import type { DemoEvent, DemoRequest } from './shop.ts'

const event = (number: number, eventType = 'page_view'): DemoEvent => ({
  eventId: `e${number}`,
  eventType,
  userId: `user-${number}`,
  anonymousId: `anon-${number}`,
  sessionId: 's',
  timestamp: '2026-06-01T00:00:00.000Z',
  properties: { number },
  context: { page: { url: 'https://shop.example/', path: '/', title: 'Shop' }, userAgent: 'test', locale: 'en-US' }
})

interface Sent {
  readonly path: string
  readonly body: string
}

/** A feed of numbered events on a manual clock whose requests are answered by `answer`. */
function createWorld(rate: number, answer: (sent: Sent) => Response, make?: (number: number) => DemoRequest) {
  const clock = createManualClock()
  const sent: Sent[] = []
  let made = 0
  const reply = async (url: string, body: unknown): Promise<Response> => {
    const request = { path: new URL(url).pathname, body: String(body) }
    sent.push(request)
    return answer(request)
  }
  const fetchStub: FeedOptions['fetch'] = (url, init) => reply(String(url), init?.body)
  const feed = startFeed({
    url: 'http://gateway',
    writeKey: 'mr_w_x',
    rate,
    clock,
    fetch: fetchStub,
    runtime: {
      fetch: (url, { body }) => reply(url, body),
      now: clock.now,
      elapsed: clock.monotonic,
      startTimer: (ms, task) => {
        const timer = clock.timer(ms, task)
        return () => timer[Symbol.dispose]()
      },
      random: () => 0.5
    },
    shop: {
      next() {
        made++
        return make?.(made) ?? { kind: 'event', body: '', event: event(made) }
      }
    }
  })
  return { feed, clock, sent, made: () => made }
}

const eventsIn = ({ body }: Sent): readonly DemoEvent[] => {
  const parsed = JSON.parse(body) as DemoEvent & { readonly events?: readonly DemoEvent[] }
  return parsed.events ?? [parsed]
}

/** What a gateway answers that stores everything. */
const stores = (sent: Sent): Response => {
  const items = eventsIn(sent).map(({ eventId }) => ({ eventId, status: 'accepted' }))
  const body = sent.path === '/v1/events/batch' ? { items } : items[0]
  return new Response(JSON.stringify(body), { status: 202 })
}

describe('startFeed', () => {
  it('keeps the rate and sends batches through the client', async () => {
    const { feed, clock, sent, made } = createWorld(20, stores)
    await clock.advance(10_600)
    expect(made()).toBeGreaterThanOrEqual(210)
    expect(made()).toBeLessThanOrEqual(214)
    expect(sent.length).toBeLessThan(30)
    expect(sent.some(({ path }) => path === '/v1/events/batch')).toBe(true)
    expect(feed.counts().accepted).toBeGreaterThanOrEqual(200)
    const ids = sent.flatMap(eventsIn).map(({ eventId }) => eventId)
    expect(new Set(ids).size).toBe(ids.length)
    await endOf(feed, clock)
  })

  it('sends every member that the shop gave to an event', async () => {
    const { feed, clock, sent } = createWorld(1, stores)
    await clock.advance(600)
    const { eventId, eventType, userId, anonymousId, sessionId, timestamp, properties } = event(1)
    expect(eventsIn(sent[0] as Sent)[0]).toMatchObject({
      eventId,
      eventType,
      userId,
      anonymousId,
      sessionId,
      timestamp,
      properties
    })
    await endOf(feed, clock)
  })

  it('makes nothing new while 1,000 events have no outcome, and stores them all in the end', async () => {
    let away = true
    const { feed, clock, made } = createWorld(500, (sent) =>
      away ? new Response('{}', { status: 503 }) : stores(sent)
    )
    await clock.advance(60_000)
    expect(made()).toBe(1_000)
    expect(feed.counts()).toEqual({ accepted: 0, duplicate: 0, refused: 0 })
    away = false
    await clock.advance(60_000)
    expect(feed.counts().accepted).toBeGreaterThan(1_000)
    await endOf(feed, clock)
  })

  it('sends a broken event once, as it is, and counts its refusal', async () => {
    const bad = (number: number): DemoRequest => ({ kind: 'bad', body: `{broken ${number}` })
    const { feed, clock, sent } = createWorld(1, () => new Response('{}', { status: 400 }), bad)
    await clock.advance(2_500)
    expect(sent).toEqual([
      { path: '/v1/events', body: '{broken 1' },
      { path: '/v1/events', body: '{broken 2' },
      { path: '/v1/events', body: '{broken 3' }
    ])
    expect(feed.counts()).toEqual({ accepted: 0, duplicate: 0, refused: 3 })
    await endOf(feed, clock)
  })
})

async function endOf(feed: AsyncDisposable, clock: ReturnType<typeof createManualClock>): Promise<void> {
  const ended = feed[Symbol.asyncDispose]()
  await clock.advance(1_000)
  await ended
}
