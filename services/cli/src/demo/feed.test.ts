import { createManualClock } from '@millrace/kernel'
import { describe, expect, it } from 'vitest'
import { startFeed } from './feed.ts'
import type { FeedOptions } from './feed.ts'

interface Sent {
  readonly atMs: number
  readonly body: string
}

/** A feed of the bodies '1', '2', ... whose requests are answered by `answer`, given the number of the request. */
function createWorld(rate: number, answer: (request: number) => Response | Error) {
  const clock = createManualClock()
  const sent: Sent[] = []
  const requests: { url: string; headers: unknown }[] = []
  let made = 0
  const fetchStub: FeedOptions['fetch'] = async (url, init) => {
    sent.push({ atMs: clock.monotonic(), body: String(init?.body) })
    requests.push({ url: String(url), headers: init?.headers })
    const outcome = answer(sent.length)
    if (outcome instanceof Error) throw outcome
    return outcome
  }
  const shop = { next: () => ({ kind: 'event' as const, body: String(++made) }) }
  const options = { url: 'http://gateway', writeKey: 'mr_w_x', rate, shop, clock, fetch: fetchStub, random: () => 0.5 }
  return { feed: startFeed(options), clock, sent, requests }
}

const status = (code: number, headers: Record<string, string> = {}): Response =>
  new Response('{}', { status: code, headers })

describe('startFeed', () => {
  it('keeps the rate', async () => {
    const { feed, clock, sent } = createWorld(20, () => status(202))
    await clock.advance(10_000)
    expect(sent.length).toBe(201)
    expect(feed.counts()).toEqual({ accepted: 201, duplicate: 0, refused: 0, waits: 0 })
    await feed[Symbol.asyncDispose]()
  })

  it('keeps a high rate with several requests at a time', async () => {
    const { feed, clock, sent } = createWorld(200, () => status(202))
    await clock.advance(1_000)
    expect(sent.length).toBeGreaterThanOrEqual(200)
    expect(sent.length).toBeLessThanOrEqual(208)
    await feed[Symbol.asyncDispose]()
  })

  it('sends the write key to the single-event route', async () => {
    const { feed, clock, requests } = createWorld(1, () => status(202))
    await clock.advance(0)
    expect(requests[0]).toEqual({
      url: 'http://gateway/v1/events',
      headers: { 'content-type': 'application/json', authorization: 'Bearer mr_w_x' }
    })
    await feed[Symbol.asyncDispose]()
  })

  it('repeats the same body until it is taken, waits as told, and makes up for nothing', async () => {
    const answers = [status(503, { 'retry-after': '2' }), new TypeError('fetch failed'), status(202)]
    const { feed, clock, sent } = createWorld(10, () => answers.shift() ?? status(202))
    await clock.advance(2_600)
    expect(sent.map(({ atMs, body }) => [atMs, body])).toEqual([
      [0, '1'],
      [2_000, '1'],
      [2_500, '1'],
      [2_500, '2'],
      [2_600, '3']
    ])
    expect(feed.counts()).toEqual({ accepted: 3, duplicate: 0, refused: 0, waits: 2 })
    await feed[Symbol.asyncDispose]()
  })

  it('goes on while one event is still being stored, and repeats that one later', async () => {
    const answers = [new Response('{"code":"in_progress"}', { status: 503, headers: { 'retry-after': '2' } })]
    const { feed, clock, sent } = createWorld(1, () => answers.shift() ?? status(202))
    await clock.advance(3_000)
    expect(sent.map(({ body }) => body)).toEqual(['1', '2', '1', '3'])
    expect(feed.counts()).toEqual({ accepted: 3, duplicate: 0, refused: 0, waits: 1 })
    await feed[Symbol.asyncDispose]()
  })

  it('never repeats what was refused for good', async () => {
    const codes = [409, 422, 400]
    const { feed, clock, sent } = createWorld(1, () => status(codes.shift() ?? 202))
    await clock.advance(2_999)
    expect(sent.map(({ body }) => body)).toEqual(['1', '2', '3'])
    expect(feed.counts()).toEqual({ accepted: 0, duplicate: 1, refused: 2, waits: 0 })
    await feed[Symbol.asyncDispose]()
  })

  it('ends while it waits', async () => {
    const { feed, clock, sent } = createWorld(10, () => status(503))
    await clock.advance(100)
    await feed[Symbol.asyncDispose]()
    await clock.advance(60_000)
    expect(sent).toHaveLength(1)
  })
})
