import { createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry } from '@millrace/observability'
import { describe, expect, it } from 'vitest'
import type { Feed, FeedEvents, FeedRequest } from './feed.ts'
import { createHub } from './hub.ts'
import { realtimeMetrics } from './metrics.ts'
import { createPeer } from './peer.ts'
import type { PeerSocket } from './peer.ts'

/** A socket that keeps what it is given until `drain`. */
function createSocket() {
  let waiting: Buffer[] = []
  let drained: (() => void)[] = []
  const all: Buffer[] = []
  const socket: PeerSocket = {
    get writableLength() {
      return waiting.reduce((sum, { byteLength }) => sum + byteLength, 0)
    },
    write: (frame) => {
      waiting.push(frame)
      return all.push(frame)
    },
    cork: () => undefined,
    uncork: () => undefined,
    once: (_event, listener) => drained.push(listener)
  }
  return {
    socket,
    all,
    /** Tasks that wait for `drain`. */
    waiters: () => drained.length,
    /** Texts written so far. */
    texts: () => all.map((frame) => frame.subarray(frame.indexOf('{')).toString()),
    read() {
      waiting = []
      const tasks = drained
      drained = []
      for (const task of tasks) task()
    }
  }
}

function createWorld(tickMs = 100) {
  const clock = createManualClock()
  const registry = createRegistry()
  const hub = createHub({ clock, tickMs, metrics: bindMetrics(realtimeMetrics, registry) })
  const opened: string[] = []
  const closed: string[] = []
  const peer = (options: { maxBufferedBytes?: number; isOpen?: () => boolean } = {}) => {
    const wire = createSocket()
    const made = createPeer({
      socket: wire.socket,
      isOpen: () => true,
      maxBufferedBytes: 1_000_000,
      terminate: () => undefined,
      ...options
    })
    return { ...wire, peer: made }
  }
  /** A feed of numbers; the snapshot is all of them. */
  const feed = (key: string) => {
    const all: number[] = []
    let fresh: number[] = []
    let events: FeedEvents | undefined
    let loaded = true
    const request: FeedRequest = {
      key,
      open: (given): Feed => {
        opened.push(key)
        events = given
        return {
          snapshot: () => (loaded ? JSON.stringify(all) : undefined),
          takeChanges() {
            if (fresh.length === 0) return undefined
            const text = `"data":${JSON.stringify(fresh)}`
            fresh = []
            return text
          },
          [Symbol.dispose]: () => void closed.push(key)
        }
      }
    }
    return {
      request,
      push(value: number) {
        all.push(value)
        fresh.push(value)
        events?.changed()
      },
      load(isLoaded: boolean) {
        loaded = isLoaded
        if (isLoaded) events?.changed()
      },
      replaced: () => events?.replaced(),
      stale: (isStale: boolean) => events?.stale(isStale)
    }
  }
  return { clock, hub, peer, feed, opened, closed }
}

const snapshot = (data: readonly number[], stale = false, channel = 'c1') =>
  `{"type":"snapshot","channel":"${channel}","stale":${stale},"data":${JSON.stringify(data)}}`
const delta = (data: readonly number[], channel = 'c1') =>
  `{"type":"delta","channel":"${channel}","data":${JSON.stringify(data)}}`

describe('the hub', () => {
  it('gives a snapshot first and then what changes, the same bytes to all who watch', async () => {
    const { clock, hub, peer, feed, opened } = createWorld()
    const numbers = feed('shop/a')
    const [first, second] = [peer(), peer()]
    expect(hub.subscribe(first.peer, numbers.request)).toBe('c1')
    expect(hub.subscribe(second.peer, numbers.request)).toBe('c1')
    await clock.advance(0)
    numbers.push(1)
    await clock.advance(100)
    expect(first.texts()).toEqual([snapshot([]), delta([1])])
    expect(second.texts()).toEqual(first.texts())
    expect(second.all[0]).toBe(first.all[0])
    expect(second.all[1]).toBe(first.all[1])
    expect(opened).toEqual(['shop/a'])
  })

  it('sends the first change after a pause at once and the next ones together', async () => {
    const { clock, hub, peer, feed } = createWorld(100)
    const numbers = feed('shop/a')
    const client = peer()
    hub.subscribe(client.peer, numbers.request)
    await clock.advance(500)
    numbers.push(1)
    await clock.advance(0)
    expect(client.texts()).toEqual([snapshot([]), delta([1])])
    numbers.push(2)
    await clock.advance(99)
    numbers.push(3)
    expect(client.texts()).toHaveLength(2)
    await clock.advance(1)
    expect(client.texts().slice(2)).toEqual([delta([2, 3])])
  })

  it('puts the frames of several channels of a round into one flush', async () => {
    const { clock, hub, peer, feed } = createWorld()
    const [a, b] = [feed('shop/a'), feed('shop/b')]
    const client = peer()
    hub.subscribe(client.peer, a.request)
    hub.subscribe(client.peer, b.request)
    await clock.advance(0)
    expect(client.texts()).toEqual([snapshot([], false, 'c1'), snapshot([], false, 'c2')])
  })

  it('leaves a slow client out, lets nothing grow, and sends a snapshot when it has caught up', async () => {
    const { clock, hub, peer, feed } = createWorld()
    const numbers = feed('shop/a')
    const slow = peer({ maxBufferedBytes: 100 })
    const quick = peer()
    hub.subscribe(slow.peer, numbers.request)
    hub.subscribe(quick.peer, numbers.request)
    for (let value = 0; value < 50; value++) {
      numbers.push(value)
      await clock.advance(100)
    }
    expect(quick.texts()).toHaveLength(50)
    const waited = slow.socket.writableLength
    expect(waited).toBeLessThan(250)
    slow.read()
    await clock.advance(100)
    expect(slow.texts().at(-1)).toBe(snapshot(Array.from({ length: 50 }, (_, value) => value)))
    slow.read()
    numbers.push(50)
    await clock.advance(100)
    expect(slow.texts().at(-1)).toBe(delta([50]))
  })

  it('waits with the snapshot until there is one, and sends no change before it', async () => {
    const { clock, hub, peer, feed } = createWorld()
    const numbers = feed('shop/a')
    numbers.load(false)
    const client = peer()
    hub.subscribe(client.peer, numbers.request)
    numbers.push(1)
    await clock.advance(1_000)
    expect(client.texts()).toEqual([])
    numbers.load(true)
    await clock.advance(100)
    expect(client.texts()).toEqual([snapshot([1])])
  })

  it('sends everybody a snapshot when what was sent holds no longer', async () => {
    const { clock, hub, peer, feed } = createWorld()
    const numbers = feed('shop/a')
    const client = peer()
    hub.subscribe(client.peer, numbers.request)
    await clock.advance(100)
    numbers.push(1)
    numbers.replaced()
    await clock.advance(100)
    expect(client.texts()).toEqual([snapshot([]), snapshot([1])])
  })

  it('says once that values may be old, for a channel or for all, and once that they are not', async () => {
    const { clock, hub, peer, feed } = createWorld()
    const numbers = feed('shop/a')
    const client = peer()
    hub.subscribe(client.peer, numbers.request)
    await clock.advance(100)
    numbers.stale(true)
    await clock.advance(100)
    hub.markAll(true)
    await clock.advance(100)
    numbers.stale(false)
    await clock.advance(100)
    hub.markAll(false)
    await clock.advance(100)
    expect(client.texts().slice(1)).toEqual([
      '{"type":"stale","channel":"c1","stale":true}',
      '{"type":"stale","channel":"c1","stale":false}'
    ])
  })

  it('closes a feed when the last one has left, however it left', async () => {
    const { clock, hub, peer, feed, closed } = createWorld()
    const [a, b] = [feed('shop/a'), feed('shop/b')]
    const [first, second] = [peer(), peer()]
    hub.subscribe(first.peer, a.request)
    hub.subscribe(first.peer, b.request)
    hub.subscribe(second.peer, a.request)
    expect(hub.channelsOf('shop')).toBe(2)
    hub.leave(first.peer)
    expect(closed).toEqual(['shop/b'])
    hub.unsubscribe(second.peer, 'shop/a')
    expect(closed).toEqual(['shop/b', 'shop/a'])
    expect(hub.channelsOf('shop')).toBe(0)
    await clock.advance(100)
    expect([...first.texts(), ...second.texts()]).toEqual([])
  })

  it('waits once for a slow client that subscribes to more meanwhile', async () => {
    const { clock, hub, peer, feed } = createWorld()
    const feeds = ['a', 'b', 'c'].map((name) => feed(`shop/${name}`))
    const slow = peer({ maxBufferedBytes: 10 })
    for (const { request } of feeds) {
      hub.subscribe(slow.peer, request)
      await clock.advance(100)
    }
    expect(slow.texts()).toEqual([snapshot([])])
    expect(slow.waiters()).toBe(1)
    slow.read()
    await clock.advance(100)
    expect(slow.texts().slice(1)).toEqual(['c1', 'c2', 'c3'].map((id) => snapshot([], false, id)))
  })

  it('forgets a slow client that left before it had caught up', async () => {
    const { clock, hub, peer, feed } = createWorld()
    const numbers = feed('shop/a')
    const slow = peer({ maxBufferedBytes: 10 })
    hub.subscribe(slow.peer, numbers.request)
    for (let value = 0; value < 3; value++) {
      numbers.push(value)
      await clock.advance(100)
    }
    const before = slow.texts().length
    hub.leave(slow.peer)
    slow.read()
    await clock.advance(100)
    expect(slow.texts()).toHaveLength(before)
    expect(clock.pending()).toBe(0)
  })

  it('writes nothing to a connection that is closing', async () => {
    const { clock, hub, peer, feed } = createWorld()
    const numbers = feed('shop/a')
    let isOpen = true
    const client = peer({ isOpen: () => isOpen })
    hub.subscribe(client.peer, numbers.request)
    await clock.advance(100)
    isOpen = false
    numbers.push(1)
    await clock.advance(100)
    expect(client.texts()).toEqual([snapshot([])])
  })
})

describe('a peer', () => {
  it('is ended when it asks and does not read', () => {
    const wire = createSocket()
    let ended = 0
    const peer = createPeer({
      socket: wire.socket,
      isOpen: () => true,
      maxBufferedBytes: 10,
      terminate: () => {
        ended++
      }
    })
    for (let count = 0; count < 5; count++) peer.answer(Buffer.alloc(8))
    expect(wire.all).toHaveLength(3)
    expect(ended).toBe(2)
  })
})
