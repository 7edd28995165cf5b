// Clients over real sockets that do not read, do not answer, or are one too many; the feed is a test's own.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { liveKinds } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { eventually } from '@millrace/testkit/eventually'
import type { FeedEvents } from '../src/feed.ts'
import { createHub } from '../src/hub.ts'
import { realtimeMetrics } from '../src/metrics.ts'
import { serveSockets } from '../src/sockets.ts'
import type { SocketSettings } from '../src/sockets.ts'
import { connectLive } from './live-client.ts'

let opened = new AsyncDisposableStack()
const bound = 256 * 1024
const padding = 'x'.repeat(100_000)

async function openFeed(more: Partial<SocketSettings> = {}) {
  const registry = createRegistry()
  const metrics = bindMetrics(realtimeMetrics, registry)
  const clock = systemClock
  const hub = createHub({ clock, tickMs: 10, metrics })
  const stop = new AbortController()
  const server = createServer()
  const sockets: Socket[] = []
  server.on('connection', (socket) => sockets.push(socket))
  let value = 0
  let events: FeedEvents | undefined
  let fresh = false
  const data = () => `[{"value":${value},"padding":"${padding}"}]`
  const request = {
    key: 'shop/a',
    open: (given: FeedEvents) => {
      events = given
      return {
        snapshot: data,
        takeChanges: () => {
          const taken = fresh ? `"data":${data()}` : undefined
          fresh = false
          return taken
        },
        [Symbol.dispose]: () => undefined
      }
    }
  }
  serveSockets(server, {
    tickets: { redeem: async () => ({ projectId: 'shop', allow: liveKinds, personal: false, origins: ['*'] }) },
    trustProxy: false,
    connection: {
      hub,
      clock,
      metrics,
      isKnown: () => true,
      toFeedRequest: () => request,
      limits: { subscriptions: 10, channelsPerProject: 10, messagesPer10s: 1_000 }
    },
    settings: {
      pingMs: 60_000,
      maxAgeMs: 3_600_000,
      maxConnections: 100,
      connectionsPerProject: 10,
      maxMessageBytes: 1_024,
      maxBufferedBytes: bound,
      ...more
    },
    clock,
    metrics,
    log: createSilentLogger(),
    signal: stop.signal,
    random: () => 0.5
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.defer(async () => {
    stop.abort()
    server.closeAllConnections()
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    sockets,
    stop,
    connect: async () => await connectLive(url, 'any'),
    push(next: number) {
      value = next
      fresh = true
      events?.changed()
    },
    count: async (name: string) => (await registry.getSingleMetric(name)?.get())?.values[0]?.value ?? 0
  }
}

afterEach(async () => {
  await opened.disposeAsync()
  opened = new AsyncDisposableStack()
})

describe('a client that does not read', () => {
  it('holds a bounded number of bytes, and has the newest values once it reads again', async () => {
    const feed = await openFeed()
    using slow = await feed.connect()
    using quick = await feed.connect()
    for (const client of [slow, quick]) {
      client.send({ type: 'subscribe', id: 'a', to: 'sessions' })
      await client.next('the snapshot', ({ type }) => type === 'snapshot')
    }
    slow.socket.pause()
    let most = 0
    const last = await eventually(
      'the slow client left out for a while',
      async () => {
        for (let round = 0; round < 20; round++) {
          feed.push(Math.floor(performance.now()))
          await systemClock.sleep(10)
          most = Math.max(most, ...feed.sockets.map(({ writableLength }) => writableLength))
        }
        return (await feed.count('analytics_realtime_behind_total')) === 1 && Math.floor(performance.now())
      },
      { timeoutMs: 30_000 }
    )
    feed.push(last)
    expect(most).toBeGreaterThan(bound)
    expect(most).toBeLessThan(bound + 2 * padding.length)
    const isLast = ({ data }: { data?: readonly Readonly<Record<string, unknown>>[] }) => data?.[0]?.['value'] === last
    await quick.next('the last value', isLast)
    slow.socket.resume()
    const shown = await slow.next('the last value', isLast)
    expect(shown.type).toBe('snapshot')
    expect(await feed.count('analytics_realtime_resynced_total')).toBe(1)
  })
})

describe('connections', () => {
  it('are cut when they answer no ping', async () => {
    const feed = await openFeed({ pingMs: 100 })
    using dead = await feed.connect()
    using alive = await feed.connect()
    // The library answers pings by itself; this client has its hands over its ears.
    dead.socket.pause()
    await eventually('one of two is cut', async () => (await feed.count('analytics_realtime_connections')) === 1)
    alive.send({ type: 'ping' })
    await alive.next('the pong', ({ type }) => type === 'pong')
  })

  it('end when they are old, and come back later', async () => {
    const feed = await openFeed({ pingMs: 50, maxAgeMs: 100 })
    using client = await feed.connect()
    expect(await client.closed).toEqual({ code: 1012, reason: '{"reconnectAfterMs":5000}' })
  })

  it('are bounded for a project', async () => {
    const feed = await openFeed({ connectionsPerProject: 1 })
    using _first = await feed.connect()
    await expect(feed.connect()).rejects.toThrow('429')
    _first[Symbol.dispose]()
    await eventually('room for another', async () => {
      using next = await feed.connect()
      return next.socket.readyState === next.socket.OPEN
    })
  })

  it('are told when to come back at the stop, and cut when they do not answer', async () => {
    const feed = await openFeed()
    using client = await feed.connect()
    using dead = await feed.connect()
    dead.socket.pause()
    feed.stop.abort()
    expect(await client.closed).toEqual({ code: 1012, reason: '{"reconnectAfterMs":5000}' })
    await eventually('no connection', async () => (await feed.count('analytics_realtime_connections')) === 0)
    await expect(feed.connect()).rejects.toThrow('503')
  })
})
