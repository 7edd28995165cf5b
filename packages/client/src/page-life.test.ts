// What a page does when it may be about to end, when the network goes, and what storage carries over.
import { describe, expect, it } from 'vitest'
import { splitBeacons } from './beacon.ts'
import { createClient } from './index.ts'
import type { ClientOptions, TrackError } from './index.ts'
import { browserPage } from './page.ts'
import {
  createFakePage,
  createManualRuntime,
  createMemoryStorage,
  createStore,
  inTurn,
  problem
} from '../test/manual-runtime.ts'

function open(options: Partial<ClientOptions> = {}) {
  const runtime = createManualRuntime()
  const page = createFakePage()
  runtime.page = page
  const drops: TrackError[] = []
  const onDrop = (error: TrackError): void => void drops.push(error)
  const client = createClient({ url: 'https://events.example', writeKey: 'mr_w_k', runtime, onDrop, ...options })
  return { runtime, page, drops, client }
}

describe('a page that is hidden', () => {
  it('hands over what is not settled as a beacon that carries the key in its body, and asks later what became of it', async () => {
    const { client, page, runtime } = open()
    const store = createStore()
    runtime.server = store.server
    const done = [client.track('a', {}, { eventId: 'a' }), client.track('b', {}, { eventId: 'b' })]
    page.hide()
    const [beacon] = page.beacons
    expect(beacon?.url).toBe('https://events.example/v1/events/batch')
    expect(beacon?.body.startsWith('{"writeKey":"mr_w_k","events":[{')).toBe(true)
    expect(beacon?.events.map(({ eventId, sentAt }) => [eventId, sentAt])).toEqual([
      ['a', new Date(runtime.now()).toISOString()],
      ['b', new Date(runtime.now()).toISOString()]
    ])
    await store.server({ path: '/v1/events/batch', events: beacon?.events ?? [] } as never)
    await runtime.advance(4_999)
    expect(runtime.sent).toEqual([])
    await runtime.advance(1)
    expect((await Promise.all(done)).map(({ status }) => status)).toEqual(['duplicate', 'duplicate'])
  })

  it('sends a beacon once, though hiding is told twice, and new events when it is hidden again', () => {
    const { client, page } = open()
    void client.track('a', {}, { eventId: 'a' })
    page.hide()
    page.hide()
    void client.track('b', {}, { eventId: 'b' })
    page.hide()
    expect(page.beacons.map(({ events }) => events.map(({ eventId }) => eventId))).toEqual([['a'], ['b']])
  })

  it('also hands over what is on the way, for its request may be cut off', async () => {
    const { client, page, runtime } = open({ flushAfterMs: 0 })
    runtime.server = () => 'silence'
    void client.track('a', {}, { eventId: 'a' })
    await runtime.advance(10)
    page.hide()
    expect(page.beacons.map(({ events }) => events.map(({ eventId }) => eventId))).toEqual([['a']])
    expect(runtime.sent).toHaveLength(1)
  })

  it('splits beacons below 64 KiB, leaves out what alone is larger, and keeps what the browser does not take', async () => {
    const { client, page, runtime } = open({ maxBatchEvents: 1_000, maxBatchBytes: 4_000_000, flushAfterMs: 60_000 })
    page.beaconRoom = 2
    const text = 'ü'.repeat(5_000)
    for (let index = 0; index < 15; index++) void client.track('x', { text }, { eventId: `e${index}` })
    void client.track('x', { text: 'x'.repeat(70_000) }, { eventId: 'large' })
    page.hide()
    expect(page.beacons.map(({ events }) => events.length)).toEqual([5, 5])
    expect(page.beacons.every(({ body }) => Buffer.byteLength(body) < 64 * 1024)).toBe(true)
    void client.flush()
    await runtime.advance(0)
    const ids = runtime.sent.flatMap(({ events }) => events).map(({ eventId }) => eventId)
    expect(ids).toEqual(['e10', 'e11', 'e12', 'e13', 'e14', 'large'])
  })

  it('sends no beacon to a gateway that has no batches, nor without network, nor with nothing to send', async () => {
    const { client, page, runtime } = open({ flushAfterMs: 100 })
    page.hide()
    const store = createStore()
    runtime.server = (request) => (request.path === '/v1/events' ? store.server(request) : problem(404, 'not_found'))
    void client.track('a')
    void client.track('b')
    await runtime.advance(100)
    void client.track('c')
    page.hide()
    expect(page.beacons).toEqual([])
    const other = open()
    other.page.connected = false
    void other.client.track('a')
    other.page.hide()
    expect(other.page.beacons).toEqual([])
  })

  it('is not watched any more once the client is closed', async () => {
    const { client, page, runtime } = open()
    expect(page.watchers()).toBe(1)
    const closed = client.close()
    await runtime.advance(0)
    await closed
    expect(page.watchers()).toBe(0)
  })
})

describe('splitBeacons', () => {
  it('fills each beacon in order up to its bytes and its count', () => {
    const sizes = [4, 4, 3, 11, 1, 1, 1]
    const events = sizes.map((bytes, index) => ({ bytes, text: String(index) }))
    expect(splitBeacons(events, 10, 3).map((part) => part.map(({ text }) => text))).toEqual([
      ['0', '1'],
      ['2', '4', '5'],
      ['6']
    ])
    expect(splitBeacons([], 10, 3)).toEqual([])
  })
})

describe('a device without network', () => {
  it('sends nothing until it is back, and attempts that fail for it do not count', async () => {
    const { client, page, runtime } = open({ flushAfterMs: 0 })
    runtime.server = () => {
      page.connected = false
      return 'network'
    }
    const done = client.track('a')
    await runtime.advance(3_600_000)
    expect(runtime.sent).toHaveLength(1)
    for (let times = 0; times < 5; times++) {
      page.connect()
      await runtime.advance(0)
    }
    expect(runtime.sent).toHaveLength(6)
    runtime.server = createStore().server
    page.connect()
    await runtime.advance(0)
    expect((await done).status).toBe('accepted')
  })
})

describe('storage', () => {
  const key = 'millrace.shop'

  it('holds what is not settled, and the next client sends it under the same ids', async () => {
    const storage = createMemoryStorage()
    const first = open({ storage, storageKey: key })
    first.runtime.server = () => 'silence'
    void first.client.track('a', { text: 'ü"\\' }, { eventId: 'a' })
    void first.client.track('b', {}, { eventId: 'b' })
    await first.runtime.advance(100)
    // The first page ends here, without a word.
    const second = open({ storage, storageKey: key })
    await second.runtime.advance(500)
    const [request] = second.runtime.sent
    expect(request?.events.map(({ eventId, properties }) => [eventId, properties])).toEqual([
      ['a', { text: 'ü"\\' }],
      ['b', {}]
    ])
    await second.runtime.advance(100)
    expect([...storage.values.keys()]).toEqual([`${key}.identity`])
  })

  it('is written when the page is hidden, without delay', () => {
    const storage = createMemoryStorage()
    const { client, page } = open({ storage, storageKey: key })
    void client.track('a', {}, { eventId: 'a' })
    page.hide()
    const saved = [...storage.values].find(([name]) => name.startsWith(`${key}.queue.`))?.[1]
    expect(JSON.parse(saved ?? '')).toMatchObject([{ eventId: 'a' }])
  })

  it('keeps what a closed client could not deliver: those events are not dropped', async () => {
    const storage = createMemoryStorage()
    const { client, runtime, drops } = open({ storage, storageKey: key })
    runtime.server = () => 'network'
    const done = client.track('a', {}, { eventId: 'a' })
    const closed = client.close({ timeoutMs: 1_000 })
    await runtime.advance(1_000)
    await closed
    await expect(done).rejects.toMatchObject({ reason: 'kept', eventId: 'a' })
    expect(drops).toEqual([])
    expect(runtime.timers()).toBe(0)
    const next = open({ storage, storageKey: key })
    await next.runtime.advance(500)
    expect(next.runtime.sent[0]?.events.map(({ eventId }) => eventId)).toEqual(['a'])
  })

  it('tells an event that a former client left and that is refused now', async () => {
    const storage = createMemoryStorage({
      [`${key}.queues`]: '["old"]',
      [`${key}.queue.old`]: '[{"eventId":"a","eventType":"x"}]'
    })
    const { runtime, drops } = open({ storage, storageKey: key })
    runtime.server = inTurn([problem(422, 'invalid_field')])
    await runtime.advance(500)
    expect(drops.map(({ eventId, reason }) => [eventId, reason])).toEqual([['a', 'rejected']])
  })

  it.each([
    ['a list of lists that is none', { [`${key}.queues`]: '{"a":1' }, []],
    ['a list that is none', { [`${key}.queues`]: '["old"]', [`${key}.queue.old`]: '[{"eventId":' }, []],
    [
      'a list with strangers in it',
      { [`${key}.queues`]: '["old",7]', [`${key}.queue.old`]: '[null,{"eventId":"a","eventType":"x"}]' },
      ['a']
    ]
  ])('that is corrupt is told once and does no harm: %s', async (_name, entries, expected) => {
    const storage = createMemoryStorage(entries)
    const { client, runtime, drops } = open({ storage, storageKey: key })
    await runtime.advance(600)
    expect(drops.map(({ reason, eventId }) => [reason, eventId])).toEqual([['corrupt_storage', undefined]])
    expect(runtime.sent.flatMap(({ events }) => events).map(({ eventId }) => eventId)).toEqual(expected)
    void client.track('x')
    await runtime.advance(600)
    expect(client.pending).toBe(0)
    const again = open({ storage, storageKey: key })
    await again.runtime.advance(600)
    expect([again.drops, again.runtime.sent]).toEqual([[], []])
  })

  it('whose tabs run side by side loses nothing when one takes over what the other still sends', async () => {
    const storage = createMemoryStorage()
    const store = createStore()
    const first = open({ storage, storageKey: key, flushAfterMs: 5_000 })
    const second = (() => {
      first.runtime.server = store.server
      void first.client.track('a', {}, { eventId: 'a' })
      first.page.hide()
      return open({ storage, storageKey: key })
    })()
    second.runtime.server = store.server
    void first.client.track('b', {}, { eventId: 'b' })
    await second.runtime.advance(600)
    await first.runtime.advance(6_000)
    expect([...store.ids.keys()].toSorted()).toEqual(['a', 'b'])
    expect([first.client.pending, second.client.pending]).toEqual([0, 0])
    expect([...storage.values.keys()]).toEqual([`${key}.identity`])
  })

  it('that is full holds the oldest events that fit; the others stay in memory', async () => {
    const inner = createMemoryStorage()
    const storage = {
      ...inner,
      setItem: (name: string, value: string) => {
        if (value.length > 1_000) throw new Error('QuotaExceededError')
        inner.setItem(name, value)
      }
    }
    const { client, runtime } = open({ storage, storageKey: key, flushAfterMs: 1_000 })
    const done = Array.from({ length: 10 }, (_, index) => client.track('x', {}, { eventId: `e${index}` }))
    await runtime.advance(100)
    const saved = [...inner.values].find(([name]) => name.startsWith(`${key}.queue.`))?.[1]
    const ids = (JSON.parse(saved ?? '') as { eventId: string }[]).map(({ eventId }) => eventId)
    expect(ids).toEqual(['e0', 'e1'])
    await runtime.advance(1_000)
    expect(await Promise.all(done)).toHaveLength(10)
  })

  it('that fails at everything leaves the client working', async () => {
    const fail = (): never => {
      throw new Error('SecurityError')
    }
    const { client, runtime, drops } = open({ storage: { getItem: fail, setItem: fail, removeItem: fail } })
    const done = client.track('x')
    await runtime.advance(600)
    expect((await done).status).toBe('accepted')
    runtime.server = () => 'network'
    const last = client.track('y')
    const closed = client.close({ timeoutMs: 10 })
    await runtime.advance(10)
    await closed
    await expect(last).rejects.toMatchObject({ reason: 'closed' })
    expect(drops.map(({ reason }) => reason)).toEqual(['closed'])
  })

  it('keeps the events of two projects apart', async () => {
    const storage = createMemoryStorage()
    const first = open({ storage, writeKey: 'mr_w_aaaaaaaasecret' })
    first.runtime.server = () => 'silence'
    void first.client.track('a')
    await first.runtime.advance(100)
    const second = open({ storage, writeKey: 'mr_w_bbbbbbbbsecret' })
    await second.runtime.advance(1_000)
    expect(second.runtime.sent).toEqual([])
    expect([...storage.values.keys()].some((name) => name.includes('secret'))).toBe(false)
  })
})

describe('browserPage', () => {
  it('is none where there is no document', () => {
    expect(browserPage({})).toBeUndefined()
    expect(browserPage(globalThis)).toBeUndefined()
  })

  it('reads the browser and listens to hiding, leaving and the network', () => {
    const listeners = new Map<string, () => void>()
    const target = {
      addEventListener: (type: string, run: () => void) => void listeners.set(type, run),
      removeEventListener: (type: string) => void listeners.delete(type)
    }
    const document = { visibilityState: 'visible', title: 't'.repeat(2_000), referrer: 'https://r.example/', ...target }
    const navigator = { onLine: false, language: 'en', sendBeacon: (_url: string, body: string) => body.length < 10 }
    const location = { href: 'https://s.example/a?x=1', pathname: '/a', search: '?x=1' }
    const page = browserPage({ document, navigator, location, ...target })
    expect(page?.visit()).toEqual({
      url: 'https://s.example/a?x=1',
      path: '/a',
      search: '?x=1',
      title: 't'.repeat(1_024),
      referrer: 'https://r.example/',
      locale: 'en'
    })
    expect([page?.isOnline(), page?.sendBeacon('u', 'short'), page?.sendBeacon('u', 'much longer')]).toEqual([
      false,
      true,
      false
    ])
    const told: string[] = []
    const stop = page?.watch({ hidden: () => told.push('hidden'), online: () => told.push('online') })
    listeners.get('visibilitychange')?.()
    document.visibilityState = 'hidden'
    for (const type of ['visibilitychange', 'pagehide', 'online']) listeners.get(type)?.()
    expect(told).toEqual(['hidden', 'hidden', 'online'])
    stop?.()
    expect(listeners.size).toBe(0)
  })
})
