// The rules of sending, on a runtime whose time and server belong to the test.
import { describe, expect, it } from 'vitest'
import { createClient } from './index.ts'
import type { ClientOptions, Receipt, TrackError } from './index.ts'
import { createManualRuntime, createStore, inTurn, problem, startMs } from '../test/manual-runtime.ts'
import type { Answer } from '../test/manual-runtime.ts'

const url = 'https://events.example'
const writeKey = 'mr_w_abcd1234secret'

function open(options: Partial<ClientOptions> = {}) {
  const runtime = createManualRuntime()
  const drops: TrackError[] = []
  const client = createClient({ url, writeKey, runtime, onDrop: (error) => drops.push(error), ...options })
  return { runtime, drops, client }
}

/** How a promise stands: its receipt's status, the reason of its rejection, or `open`. */
async function standing(promise: Promise<Receipt>): Promise<string> {
  const later = new Promise<string>((resolve) => setImmediate(resolve, 'open'))
  const settled = promise.then(
    ({ status }) => status,
    (error: TrackError) => error.reason
  )
  return await Promise.race([settled, later])
}

describe('track', () => {
  it('sends one event to /v1/events with an id, the time it happened and the time it is sent', async () => {
    const { client, runtime } = open()
    const done = client.track('purchase', { amount: 12 }, { userId: 'u1' })
    await runtime.advance(500)
    const [request] = runtime.sent
    const [event] = request?.events ?? []
    expect(request).toMatchObject({
      url: 'https://events.example/v1/events',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${writeKey}` }
    })
    expect(event).toEqual({
      eventId: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      eventType: 'purchase',
      userId: 'u1',
      timestamp: new Date(startMs).toISOString(),
      sentAt: new Date(startMs + 500).toISOString(),
      properties: { amount: 12 },
      context: { library: { name: '@millrace/client', version: expect.any(String) } }
    })
    expect(await done).toEqual({ eventId: event?.eventId, status: 'accepted' })
    expect(runtime.timers()).toBe(0)
  })

  it('sends several events in one batch when the oldest has waited long enough, in their order', async () => {
    const { client, runtime } = open({ flushAfterMs: 300 })
    const all = ['a', 'b', 'c'].map((eventId) => client.track('x', undefined, { eventId }))
    await runtime.advance(299)
    expect(runtime.sent).toEqual([])
    await runtime.advance(1)
    expect(runtime.sent.map(({ path, events }) => [path, events.map(({ eventId }) => eventId)])).toEqual([
      ['/v1/events/batch', ['a', 'b', 'c']]
    ])
    expect(await Promise.all(all)).toEqual(['a', 'b', 'c'].map((eventId) => ({ eventId, status: 'accepted' })))
  })

  it('sends a full batch at once, by count', async () => {
    const { client, runtime } = open({ maxBatchEvents: 3 })
    for (let index = 0; index < 7; index++) void client.track('x')
    await runtime.advance(0)
    expect(runtime.sent.map(({ events }) => events.length)).toEqual([3, 3])
    await runtime.advance(500)
    expect(runtime.sent.map(({ events }) => events.length)).toEqual([3, 3, 1])
  })

  it('sends a full batch at once, by bytes, and never a larger body unless one event is', async () => {
    const { client, runtime } = open({ maxBatchBytes: 3_000 })
    const text = (length: number): { text: string } => ({ text: 'ü'.repeat(length / 2) })
    for (const length of [1_000, 1_000, 1_000, 9_000]) void client.track('x', text(length))
    await runtime.advance(500)
    const sizes = runtime.sent.map(({ body, events }) => [events.length, Buffer.byteLength(body) <= 3_000])
    expect(sizes).toEqual([
      [2, true],
      [1, true],
      [1, false]
    ])
    expect(runtime.sent.slice(0, 1).map(({ atMs }) => atMs)).toEqual([0])
  })

  it('keeps what the caller says of an event: id, time, ids, context', async () => {
    const { client, runtime } = open({ context: { locale: 'de', page: { title: 'all' } } })
    const timestamp = new Date('2025-12-24T18:00:00Z')
    void client.track('x', {}, { eventId: 'mine', timestamp, sessionId: 's', context: { page: { title: 'this' } } })
    await runtime.advance(500)
    expect(runtime.sent[0]?.events[0]).toMatchObject({
      eventId: 'mine',
      timestamp: '2025-12-24T18:00:00.000Z',
      sessionId: 's',
      context: { locale: 'de', page: { title: 'this' } }
    })
  })

  it('sends what the properties were when it was called', async () => {
    const { client, runtime } = open()
    const properties = { step: 1 }
    void client.track('x', properties)
    properties.step = 2
    await runtime.advance(500)
    expect(runtime.sent[0]?.events[0]?.properties).toEqual({ step: 1 })
  })

  it('refuses what is not JSON and what is too large, and goes on', async () => {
    const { client, runtime, drops } = open({ maxEventBytes: 2_000 })
    const cycle: Record<string, unknown> = {}
    cycle['self'] = cycle
    const refused = [
      client.track('x', cycle, { eventId: 'cycle' }),
      client.track('x', { big: 1n }, { eventId: 'bigint' }),
      client.track('x', { text: 'x'.repeat(2_000) }, { eventId: 'large' })
    ]
    const good = client.track('x')
    await runtime.advance(500)
    expect(await Promise.all(refused.map(standing))).toEqual(['invalid', 'invalid', 'too_large'])
    expect(drops.map(({ eventId, reason }) => [eventId, reason])).toEqual([
      ['cycle', 'invalid'],
      ['bigint', 'invalid'],
      ['large', 'too_large']
    ])
    expect((await good).status).toBe('accepted')
    expect(runtime.sent).toHaveLength(1)
  })

  it('takes an event of exactly the largest size', async () => {
    const { client, runtime, drops } = open({ maxEventBytes: 1_000, context: {} })
    const empty = JSON.stringify({
      eventId: 'e',
      eventType: 'x',
      timestamp: new Date(startMs),
      properties: { text: '' },
      context: { library: { name: '@millrace/client', version: '0.1.0' } },
      sentAt: new Date(startMs)
    }).length
    // The comma that stands between two events of a batch counts too.
    void client.track('x', { text: 'x'.repeat(999 - empty) }, { eventId: 'e' })
    void client.track('x', { text: 'x'.repeat(1_000 - empty) }, { eventId: 'f' })
    await runtime.advance(500)
    expect(runtime.sent.map(({ body }) => body.length)).toEqual([999])
    expect(drops.map(({ eventId }) => eventId)).toEqual(['f'])
  })

  it('turns the newest away when the queue is full, by count or by bytes', async () => {
    const { client, runtime, drops } = open({ maxQueueEvents: 2 })
    runtime.server = () => 'silence'
    const all = ['a', 'b', 'c'].map((eventId) => client.track('x', {}, { eventId }))
    await runtime.advance(0)
    expect(await Promise.all(all.map(standing))).toEqual(['open', 'open', 'queue_full'])
    expect(drops.map(({ eventId, reason }) => [eventId, reason])).toEqual([['c', 'queue_full']])

    const small = open({ maxQueueBytes: 1_000 })
    for (let index = 0; index < 6; index++) void small.client.track('x', { text: 'x'.repeat(150) })
    await small.runtime.advance(0)
    expect(small.client.pending).toBe(2)
    expect(small.drops).toHaveLength(4)
  })

  it('never leaves an unhandled rejection, and its callback may track again', async () => {
    const seen: unknown[] = []
    const onUnhandled = (error: unknown): void => void seen.push(error)
    process.on('unhandledRejection', onUnhandled)
    const runtime = createManualRuntime()
    runtime.server = inTurn([problem(422, 'invalid_field')])
    const onDrop = ({ reason }: TrackError): void => void client.track('dropped', { reason })
    const client = createClient({ url, writeKey, runtime, onDrop, maxQueueEvents: 1 })
    void client.track('x')
    await runtime.advance(500)
    await runtime.advance(500)
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', onUnhandled)
    expect(seen).toEqual([])
    expect(runtime.sent.map(({ events }) => events[0]?.properties)).toEqual([undefined, { reason: 'rejected' }])
  })
})

describe('a retry', () => {
  const failures: readonly (readonly [string, Answer])[] = [
    ['500', { status: 500 }],
    ['502 of a proxy', { status: 502, body: '<html>Bad Gateway</html>' }],
    ['503', problem(503, 'unavailable')],
    ['429', problem(429, 'rate_limited')],
    ['a broken connection', 'network'],
    ['a page that is not the gateway’s', { status: 200, body: '<html>Please log in</html>' }]
  ]

  it.each(failures)('of %s happens after 1, 2 and 4 s with the same id, and then no more', async (_name, answer) => {
    const { client, runtime, drops } = open({ flushAfterMs: 0 })
    runtime.server = () => answer
    const done = client.track('x')
    await runtime.advance(60_000)
    expect(runtime.sent.map(({ atMs }) => atMs)).toEqual([0, 1_000, 3_000, 7_000])
    expect(new Set(runtime.sent.map(({ events }) => events[0]?.eventId)).size).toBe(1)
    expect(new Set(runtime.sent.map(({ events }) => events[0]?.timestamp)).size).toBe(1)
    expect(runtime.sent.map(({ events }) => Date.parse(events[0]?.sentAt ?? '') - startMs)).toEqual([
      0, 1_000, 3_000, 7_000
    ])
    expect(await standing(done)).toBe('retries_exhausted')
    expect(drops).toHaveLength(1)
    expect(runtime.timers()).toBe(0)
  })

  it('is spread by jitter of up to half its delay', async () => {
    const { client, runtime } = open({ flushAfterMs: 0 })
    runtime.luck = 0.5
    runtime.server = () => problem(503, 'unavailable')
    void client.track('x')
    await runtime.advance(60_000)
    expect(runtime.sent.map(({ atMs }) => atMs)).toEqual([0, 1_250, 3_750, 8_750])
  })

  it('happens every 8 s for as long as it takes, if the application wants that', async () => {
    const { client, runtime } = open({ flushAfterMs: 0, retries: Infinity })
    runtime.server = () => 'network'
    const done = client.track('x')
    await runtime.advance(100_000)
    expect(runtime.sent.map(({ atMs }) => atMs).slice(0, 7)).toEqual([0, 1_000, 3_000, 7_000, 15_000, 23_000, 31_000])
    runtime.server = createStore().server
    await runtime.advance(8_000)
    expect(await standing(done)).toBe('accepted')
  })

  it('waits as long as Retry-After asks for, in seconds and as a date', async () => {
    const { client, runtime } = open({ flushAfterMs: 0 })
    runtime.server = inTurn([
      problem(503, 'unavailable', { 'retry-after': '5' }),
      problem(429, 'rate_limited', { 'retry-after': new Date(startMs + 25_000).toUTCString() })
    ])
    const done = client.track('x')
    await runtime.advance(25_000)
    expect(runtime.sent.map(({ atMs }) => atMs)).toEqual([0, 5_000, 25_000])
    expect(await standing(done)).toBe('accepted')
  })

  it('lets other events wait too, and takes them along', async () => {
    const { client, runtime } = open({ flushAfterMs: 0 })
    runtime.server = inTurn([problem(429, 'rate_limited', { 'retry-after': '10' })])
    void client.track('x', {}, { eventId: 'a' })
    await runtime.advance(1_000)
    void client.track('x', {}, { eventId: 'b' })
    await runtime.advance(8_999)
    expect(runtime.sent).toHaveLength(1)
    await runtime.advance(1)
    expect(runtime.sent[1]?.events.map(({ eventId }) => eventId)).toEqual(['a', 'b'])
  })

  it('follows a request that got no answer in time, which is given up', async () => {
    const { client, runtime } = open({ flushAfterMs: 0, requestTimeoutMs: 2_000 })
    runtime.server = inTurn(['silence'])
    const done = client.track('x')
    await runtime.advance(2_000)
    expect(runtime.sent[0]?.signal.aborted).toBe(true)
    await runtime.advance(1_000)
    expect(runtime.sent.map(({ atMs }) => atMs)).toEqual([0, 3_000])
    expect(await standing(done)).toBe('accepted')
  })

  it('that finds the event stored by the first attempt counts as stored', async () => {
    const { client, runtime } = open({ flushAfterMs: 0 })
    const store = createStore()
    runtime.server = inTurn([(request) => (store.server(request), 'network')], store.server)
    const done = client.track('x')
    await runtime.advance(1_000)
    expect(await done).toMatchObject({ status: 'duplicate' })
    expect([...store.ids.values()]).toEqual([2])
  })

  it('never happens after another 4xx, which is reported with its code and place', async () => {
    for (const status of [400, 401, 403, 413, 415, 422]) {
      const { client, runtime, drops } = open({ flushAfterMs: 0 })
      runtime.server = () => ({ status, body: { code: 'some_code', pointer: '/eventType' } })
      const done = client.track('x', {}, { eventId: 'e' })
      await runtime.advance(60_000)
      expect(runtime.sent).toHaveLength(1)
      await expect(done).rejects.toMatchObject({ reason: 'rejected', code: 'some_code', pointer: '/eventType' })
      expect(drops.map(({ eventId }) => eventId)).toEqual(['e'])
    }
  })
})

describe('a batch', () => {
  const track = ({ client }: ReturnType<typeof open>, ...ids: string[]): Promise<Receipt>[] =>
    ids.map((eventId) => client.track('x', {}, { eventId }))

  it('settles each event by its item, and sends only those again that the gateway says to', async () => {
    const opened = open()
    const { runtime, drops } = opened
    runtime.server = inTurn([
      {
        status: 207,
        headers: { 'retry-after': '2' },
        body: {
          items: [
            { eventId: 'a', status: 'accepted' },
            { eventId: 'b', status: 'duplicate' },
            { eventId: 'c', status: 'rejected', code: 'missing_field', pointer: '/eventType' },
            { eventId: 'd', status: 'retry', code: 'in_progress' },
            { eventId: 'e', status: 'retry', code: 'unknown' }
          ]
        }
      }
    ])
    const all = track(opened, 'a', 'b', 'c', 'd', 'e')
    await runtime.advance(500)
    expect(await Promise.all(all.map(standing))).toEqual(['accepted', 'duplicate', 'rejected', 'open', 'open'])
    expect(drops).toMatchObject([{ eventId: 'c', code: 'missing_field', pointer: '/eventType' }])
    await runtime.advance(2_000)
    expect(runtime.sent.map(({ atMs, events }) => [atMs, events.map(({ eventId }) => eventId)])).toEqual([
      [500, ['a', 'b', 'c', 'd', 'e']],
      [2_500, ['d', 'e']]
    ])
    expect(await Promise.all(all.slice(3).map(standing))).toEqual(['accepted', 'accepted'])
  })

  it('does not hold up other events while one of it waits', async () => {
    const opened = open({ flushAfterMs: 100 })
    const { runtime } = opened
    runtime.server = inTurn([
      {
        status: 207,
        body: {
          items: [
            { eventId: 'a', status: 'accepted' },
            { eventId: 'b', status: 'retry' }
          ]
        }
      }
    ])
    void track(opened, 'a', 'b')
    await runtime.advance(200)
    void track(opened, 'c')
    await runtime.advance(1_000)
    expect(runtime.sent.map(({ atMs, events }) => [atMs, events.map(({ eventId }) => eventId)])).toEqual([
      [100, ['a', 'b']],
      [300, ['c']],
      [1_100, ['b']]
    ])
  })

  it('lets nobody wait for an event that is still being stored', async () => {
    const opened = open({ flushAfterMs: 100 })
    const { runtime } = opened
    runtime.server = inTurn([problem(503, 'in_progress', { 'retry-after': '2' })])
    void track(opened, 'a')
    await runtime.advance(200)
    void track(opened, 'b')
    await runtime.advance(2_000)
    expect(runtime.sent.map(({ atMs, events }) => [atMs, events.map(({ eventId }) => eventId)])).toEqual([
      [100, ['a']],
      [300, ['b']],
      [2_100, ['a']]
    ])
  })

  it('gives an event up after its own three retries, whoever else is in the batch', async () => {
    const opened = open()
    const { runtime } = opened
    runtime.server = ({ events }) => {
      const items = events.map(({ eventId }) => ({ eventId, status: eventId === 'bad' ? 'retry' : 'accepted' }))
      return events.length === 1 ? problem(503, 'unavailable') : { status: 207, body: { items } }
    }
    const [bad, ...others] = track(opened, 'bad', 'a')
    await runtime.advance(60_000)
    expect(runtime.sent.filter(({ events }) => events.some(({ eventId }) => eventId === 'bad'))).toHaveLength(4)
    expect(runtime.sent.filter(({ events }) => events.some(({ eventId }) => eventId === 'a'))).toHaveLength(1)
    expect(await standing(bad ?? Promise.reject(new Error('no event')))).toBe('retries_exhausted')
    expect(await Promise.all(others.map(standing))).toEqual(['accepted'])
  })

  it('that is refused as a whole reports every event', async () => {
    const opened = open()
    const { runtime, drops } = opened
    runtime.server = () => problem(401, 'unauthorized')
    const all = track(opened, 'a', 'b')
    await runtime.advance(60_000)
    expect(await Promise.all(all.map(standing))).toEqual(['rejected', 'rejected'])
    expect(drops.map(({ eventId, code }) => [eventId, code])).toEqual([
      ['a', 'unauthorized'],
      ['b', 'unauthorized']
    ])
    expect(runtime.sent).toHaveLength(1)
  })

  it('that is too large for something on the way is halved until it passes', async () => {
    const opened = open()
    const { runtime } = opened
    const store = createStore()
    runtime.server = (request) => (request.body.length > 1_000 ? problem(413, 'body_too_large') : store.server(request))
    const all = track(opened, ...Array.from({ length: 16 }, (_, index) => `e${index}`))
    await runtime.advance(500)
    expect(await Promise.all(all.map(standing))).toEqual(Array.from({ length: 16 }, () => 'accepted'))
    expect([...store.ids.values()].every((copies) => copies === 1)).toBe(true)
    const refused = runtime.sent.filter(({ body }) => body.length > 1_000)
    expect(refused.length).toBeLessThanOrEqual(3)
    // What was learned stays.
    void track(opened, ...Array.from({ length: 16 }, (_, index) => `f${index}`))
    await runtime.advance(500)
    expect(runtime.sent.filter(({ body }) => body.length > 1_000)).toEqual(refused)
  })
})

describe('a gateway without batches', () => {
  it.each([404, 405])(
    'gets single events, six side by side, and is asked again five minutes later: %i',
    async (status) => {
      const { client, runtime } = open({ flushAfterMs: 0 })
      const store = createStore()
      let hasBatch = false
      runtime.server = (request) =>
        request.path === '/v1/events' || hasBatch ? store.server(request) : problem(status, 'not_found')
      const all = Array.from({ length: 8 }, () => client.track('x'))
      await runtime.advance(0)
      expect(await Promise.all(all.map(standing))).toEqual(Array.from({ length: 8 }, () => 'accepted'))
      // The first event went alone; the batch of the other seven was refused.
      expect(runtime.sent.filter(({ path }) => path === '/v1/events/batch')).toHaveLength(1)
      expect(runtime.sent.filter(({ path }) => path === '/v1/events')).toHaveLength(8)

      hasBatch = true
      const track = async (): Promise<(string | undefined)[]> => {
        runtime.sent.length = 0
        const pair = [client.track('x'), client.track('x'), client.track('x')]
        await runtime.advance(0)
        await Promise.all(pair)
        return runtime.sent.map(({ path }) => path)
      }
      expect(await track()).toEqual(['/v1/events', '/v1/events', '/v1/events'])
      await runtime.advance(300_000)
      expect(await track()).toEqual(['/v1/events', '/v1/events/batch'])
    }
  )

  it('is not asked for batches at all when told so', async () => {
    const { client, runtime } = open({ batch: false })
    for (let index = 0; index < 20; index++) void client.track('x')
    await runtime.advance(500)
    expect(runtime.sent.map(({ path }) => path)).toEqual(Array.from({ length: 20 }, () => '/v1/events'))
    expect(client.pending).toBe(0)
  })
})

describe('flush', () => {
  it('sends what waits at once and resolves when all of it has settled, whatever became of it', async () => {
    const { client, runtime } = open({ flushAfterMs: 60_000 })
    runtime.server = inTurn([problem(503, 'unavailable'), problem(422, 'invalid_field')])
    void client.track('x')
    let flushed = false
    const flush = client.flush().then(() => (flushed = true))
    await runtime.advance(0)
    expect([runtime.sent.length, flushed]).toEqual([1, false])
    await runtime.advance(1_000)
    expect([runtime.sent.length, flushed]).toEqual([2, true])
    await flush
    await client.flush()
    expect(runtime.sent).toHaveLength(2)
  })

  it('does not take along what is tracked after it', async () => {
    const { client, runtime } = open({ flushAfterMs: 10_000 })
    void client.track('x', {}, { eventId: 'a' })
    void client.flush()
    void client.track('x', {}, { eventId: 'b' })
    await runtime.advance(9_999)
    expect(runtime.sent.map(({ events }) => events.map(({ eventId }) => eventId))).toEqual([['a']])
  })
})

describe('close', () => {
  it('flushes, refuses what comes later, and leaves no timer', async () => {
    const { client, runtime } = open()
    const first = client.track('x')
    const closed = client.close()
    const second = client.track('x')
    await runtime.advance(0)
    await closed
    expect([await standing(first), await standing(second)]).toEqual(['accepted', 'closed'])
    expect(runtime.timers()).toBe(0)
    await client.close()
  })

  it('settles each event once, though an answer comes after its end', async () => {
    const { client, runtime, drops } = open()
    const answer = Promise.withResolvers<Answer>()
    runtime.server = () => answer.promise
    const sent = client.track('x')
    const closed = client.close({ timeoutMs: 1_000 })
    await runtime.advance(1_000)
    await closed
    answer.resolve(problem(422, 'invalid_field'))
    await runtime.advance(60_000)
    expect([await standing(sent), drops.map(({ reason }) => reason)]).toEqual(['closed', ['closed']])
    expect([runtime.sent.length, runtime.timers()]).toEqual([1, 0])
  })

  it('gives up after its time: requests end and what is left is reported', async () => {
    const { client, runtime, drops } = open()
    runtime.server = () => 'silence'
    const sent = client.track('x')
    const closed = client.close({ timeoutMs: 3_000 })
    await runtime.advance(3_000)
    await closed
    expect(runtime.sent[0]?.signal.aborted).toBe(true)
    expect(await standing(sent)).toBe('closed')
    expect(drops.map(({ reason }) => reason)).toEqual(['closed'])
    expect(client.pending).toBe(0)
  })
})
