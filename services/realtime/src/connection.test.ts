import { createManualClock } from '@millrace/kernel'
import { liveKinds } from '@millrace/contracts'
import type { LiveGrant } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import { bindMetrics, createRegistry } from '@millrace/observability'
import { describe, expect, it } from 'vitest'
import { createConnection } from './connection.ts'
import type { FeedRequest } from './feed.ts'
import { createHub } from './hub.ts'
import { realtimeMetrics } from './metrics.ts'
import { createPeer } from './peer.ts'

const grant: LiveGrant = { projectId: 'shop', allow: liveKinds, personal: false, origins: ['*'] }
const limits = { subscriptions: 3, channelsPerProject: 2, messagesPer10s: 10 }

function createWorld(more: Partial<LiveGrant> = {}) {
  const clock = createManualClock()
  const metrics = bindMetrics(realtimeMetrics, createRegistry())
  const hub = createHub({ clock, tickMs: 100, metrics })
  const open = new Set<string>()
  const said: { type: string; id?: string; problem?: { code: string } }[] = []
  const socket = {
    writableLength: 0,
    write: (frame: Buffer) => said.push(JSON.parse(frame.subarray(frame.indexOf('{')).toString())),
    cork: () => undefined,
    uncork: () => undefined,
    once: () => undefined
  }
  const peer = createPeer({ socket, isOpen: () => true, maxBufferedBytes: 1_000, terminate: () => undefined })
  const connection = createConnection(
    peer,
    { ...grant, ...more },
    {
      hub,
      clock,
      metrics,
      limits,
      isKnown: (_project, metric) => metric !== 'unknown',
      toFeedRequest: ({ projectId }, subscription): FeedRequest => {
        const key = `${projectId}/${subscription.to}/${'metric' in subscription ? subscription.metric : ''}`
        return {
          key,
          open: () => {
            if (key.endsWith('full')) throw new AppError('PIPE_CONFLICT', 'too many')
            open.add(key)
            return { snapshot: () => '[]', takeChanges: () => undefined, [Symbol.dispose]: () => void open.delete(key) }
          }
        }
      }
    }
  )
  const send = async (message: object) => {
    connection.receive(JSON.stringify(message))
    await clock.advance(0)
  }
  const subscribe = async (id: string, metric = 'events') =>
    await send({ type: 'subscribe', id, to: 'metrics', metric })
  const answers = () =>
    said.filter(({ type }) => type !== 'snapshot').map(({ type, id, problem }) => problem?.code ?? `${type} ${id}`)
  return { clock, connection, hub, open, said, send, subscribe, answers }
}

describe('a connection', () => {
  it('subscribes, shares a channel between equal subscriptions, and leaves it with the last of them', async () => {
    const { open, send, subscribe, answers } = createWorld()
    await subscribe('a')
    await subscribe('b')
    await send({ type: 'unsubscribe', id: 'a' })
    expect([...open]).toEqual(['shop/metrics/events'])
    await send({ type: 'unsubscribe', id: 'b' })
    expect([...open]).toEqual([])
    await send({ type: 'unsubscribe', id: 'b' })
    expect(answers()).toEqual(['subscribed a', 'subscribed b', 'unsubscribed a', 'unsubscribed b', 'not_found'])
  })

  it('takes an id once', async () => {
    const { subscribe, answers } = createWorld()
    await subscribe('a')
    await subscribe('a')
    expect(answers()).toEqual(['subscribed a', 'conflict'])
  })

  it('gets what its ticket allows, and metrics that exist', async () => {
    const { send, subscribe, answers } = createWorld({ allow: ['metrics'] })
    await send({ type: 'subscribe', id: 'a', to: 'events' })
    await subscribe('b', 'unknown')
    await subscribe('b', 'full')
    await subscribe('b')
    expect(answers()).toEqual(['forbidden', 'not_found', 'unavailable', 'subscribed b'])
  })

  it('is bounded by its own subscriptions and by what its project watches', async () => {
    const { subscribe, answers } = createWorld()
    await subscribe('a', 'm1')
    await subscribe('b', 'm2')
    await subscribe('c', 'm3')
    await subscribe('c', 'm1')
    await subscribe('d', 'm1')
    expect(answers()).toEqual(['subscribed a', 'subscribed b', 'rate_limited', 'subscribed c', 'rate_limited'])
  })

  it('may say so much in ten seconds, pings included', async () => {
    const { clock, connection } = createWorld()
    const say = () => connection.receive('{"type":"ping"}')
    expect(Array.from({ length: 9 }, say)).toEqual(Array(9).fill(true))
    expect(connection.count()).toBe(true)
    expect(connection.count()).toBe(false)
    expect(say()).toBe(false)
    await clock.advance(10_000)
    expect(say()).toBe(true)
  })

  it('leaves nothing behind', async () => {
    const { connection, open, subscribe } = createWorld()
    await subscribe('a')
    await subscribe('b', 'page_views')
    expect(open.size).toBe(2)
    connection.close()
    expect(open.size).toBe(0)
  })
})
