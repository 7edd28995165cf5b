import { createManualClock } from '@millrace/kernel'
import { createMemoryCluster } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { describe, expect, it } from 'vitest'
import { createTopicWatch } from './topic-watch.ts'

const settings = {
  lingerMs: 5_000,
  topicRefreshMs: 1_000,
  sessionTimeoutMs: 30_000,
  heartbeatIntervalMs: 3_000,
  maxTopics: 2
}

function createWorld() {
  const clock = createManualClock()
  const cluster = createMemoryCluster({ clock })
  const stop = new AbortController()
  const groups: string[] = []
  const client = cluster.client()
  const watch = createTopicWatch<string>({
    consumers: {
      join: (options, handlers) => {
        groups.push(options.groupId)
        return client.join(options, handlers)
      }
    },
    admin: cluster.admin,
    clock,
    log: createSilentLogger(),
    instance: 'here',
    // `route:value`
    decode({ value }, isWatched) {
      const [route = '', text = ''] = String(value).split(':')
      return isWatched(route) ? { route, value: text } : undefined
    },
    settings,
    onFatal: (error) => {
      throw error
    },
    signal: stop.signal
  })
  const listen = (topic: string, route: string) => {
    const seen: string[] = []
    const watching = watch.watch(topic, route, {
      onValues: (values) => void seen.push(...values),
      onLive: () => void seen.push('live')
    })
    return { seen, end: () => watching[Symbol.dispose]() }
  }
  const create = async (topic: string) =>
    await cluster.admin.createTopics([{ topic, partitions: 1, replicationFactor: 1, config: {} }])
  const append = (topic: string, ...values: string[]) => cluster.append({ topic, partition: 0 }, ...values)
  return { clock, cluster, watch, listen, create, append, groups }
}

describe('the watch of topics', () => {
  it('reads from the end, and gives each what concerns it', async () => {
    const { clock, listen, create, append, groups } = createWorld()
    await create('t')
    append('t', 'a:old')
    const [a, b] = [listen('t', 'a'), listen('t', 'b')]
    await clock.advance(1_000)
    append('t', 'a:1', 'b:2', 'c:3')
    await clock.advance(1_000)
    expect(a.seen).toEqual(['live', '1'])
    expect(b.seen).toEqual(['live', '2'])
    const late = listen('t', 'a')
    append('t', 'a:4')
    await clock.advance(1_000)
    expect(late.seen).toEqual(['live', '4'])
    expect(groups).toEqual(['here.t'])
  })

  it('loses nothing when its member joins again', async () => {
    const { clock, cluster, listen, create, append } = createWorld()
    await create('t')
    const a = listen('t', 'a')
    await clock.advance(1_000)
    append('t', 'a:1')
    await clock.advance(1_000)
    cluster.rebalance('here.t')
    await clock.advance(0)
    for (let value = 2; value < 12; value++) {
      append('t', `a:${value}`)
      cluster.rebalance('here.t')
      await clock.advance(value)
    }
    await clock.advance(10_000)
    expect(a.seen.filter((each) => each === 'live').length).toBeGreaterThan(5)
    expect(a.seen.filter((each) => each !== 'live')).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11'])
  })

  it('reads a topic that is made while it is watched from its beginning', async () => {
    const { clock, listen, create, append } = createWorld()
    const a = listen('t', 'a')
    await clock.advance(1_000)
    await create('t')
    append('t', 'a:first')
    await clock.advance(3_000)
    expect(a.seen).toEqual(['live', 'first'])
  })

  it('reads only while somebody watches, and a little longer', async () => {
    const { clock, listen, create, append, groups } = createWorld()
    await create('t')
    const a = listen('t', 'a')
    await clock.advance(1_000)
    a.end()
    a.end()
    await clock.advance(4_000)
    const again = listen('t', 'a')
    expect(groups).toHaveLength(1)
    again.end()
    await clock.advance(5_000)
    append('t', 'a:unseen')
    const later = listen('t', 'a')
    await clock.advance(1_000)
    expect(groups).toHaveLength(2)
    expect(later.seen).toEqual(['live'])
    expect(a.seen).toEqual(['live'])
  })

  it('watches no more topics than it may', async () => {
    const { listen } = createWorld()
    listen('t1', 'a')
    listen('t2', 'a')
    listen('t2', 'b')
    expect(() => listen('t3', 'a')).toThrow('too many topics')
  })
})
