// The three feeds on a watch that a test turns by hand.
import { AppError, createManualClock } from '@millrace/kernel'
import type { MetricMessage, ProcessedEvent, SessionMessage } from '@millrace/contracts'
import { createSilentLogger } from '@millrace/observability'
import { describe, expect, it } from 'vitest'
import type { TopicListener, TopicWatch } from '../topic-watch.ts'
import { openEventFeed } from './event-feed.ts'
import { openMetricFeed } from './metric-feed.ts'
import type { WindowSnapshot } from './metric-feed.ts'
import { openSessionFeed } from './session-feed.ts'

function createTopics<T>() {
  const listeners = new Map<string, TopicListener<T>>()
  const topics: TopicWatch<T> = {
    watch(topic, route, listener) {
      listeners.set(`${topic} ${route}`, listener)
      return { [Symbol.dispose]: () => void listeners.delete(`${topic} ${route}`) }
    }
  }
  return { topics, watched: () => [...listeners.keys()], listener: (name: string) => listeners.get(name) }
}

function createEvents() {
  const said: string[] = []
  return {
    said,
    changed: () => void said.push('changed'),
    replaced: () => void said.push('replaced'),
    stale: (isStale: boolean) => void said.push(isStale ? 'stale' : 'fresh')
  }
}

const recent = { keep: 3, maxPending: 2, onSkipped: () => undefined }

describe('the feed of a metric', () => {
  const subscription = { to: 'metrics', metric: 'events', granularity: '1m', dimension: undefined, windows: 2 } as const
  const world = (answer: () => Promise<WindowSnapshot>) => {
    const clock = createManualClock()
    const questions: unknown[] = []
    const { topics, watched, listener } = createTopics<MetricMessage>()
    const events = createEvents()
    const readWindows = (question: unknown): Promise<WindowSnapshot> => {
      questions.push(question)
      return answer()
    }
    const deps = { topics, readWindows, clock, log: createSilentLogger(), refreshMs: 10_000, maxCells: 100 }
    const feed = openMetricFeed('shop', subscription, deps, events)
    return { clock, feed, events, questions, watched, listener: () => listener('metrics.events shop') }
  }
  const value = (count: number, more: Partial<MetricMessage> = {}): MetricMessage => ({
    project: 'shop',
    metric: 'events',
    kind: 'count',
    granularity: '1m',
    timestamp: Date.UTC(2026, 0, 1),
    value: count,
    count,
    capped: false,
    revision: [1, 2 * count],
    final: false,
    ...more
  })

  it('reads the live state at once, when the topic is live, and from time to time', async () => {
    const { clock, feed, events, questions, watched, listener } = world(async () => ({
      epoch: 1,
      messages: [value(1)]
    }))
    expect(feed.snapshot()).toBeUndefined()
    await clock.advance(0)
    expect(feed.snapshot()).toContain('"value":1')
    expect(events.said).toEqual(['replaced'])
    listener()?.onLive()
    await clock.advance(0)
    expect(questions).toHaveLength(2)
    await clock.advance(10_000)
    expect(questions).toHaveLength(3)
    expect(questions[0]).toEqual({
      project: 'shop',
      metric: 'events',
      granularity: '1m',
      dimension: '',
      fromMs: Date.UTC(2025, 11, 31, 23, 59),
      toMs: Date.UTC(2026, 0, 1) + 1
    })
    feed[Symbol.dispose]()
    expect(watched()).toEqual([])
    await clock.advance(60_000)
    expect(questions).toHaveLength(3)
  })

  it('shows values of its granularity, and reads everything anew for a newer epoch', async () => {
    let epoch = 1
    const { clock, feed, events, listener } = world(async () => ({
      epoch,
      messages: [value(1, { revision: [epoch, 2] })]
    }))
    await clock.advance(0)
    feed.takeChanges()
    listener()?.onValues([value(2), value(50, { granularity: '1h' })])
    expect(feed.takeChanges()).toMatch(/^"data":\[\{[^}]*"value":2,[^}]*\}\]$/)
    epoch = 2
    listener()?.onValues([value(3, { revision: [2, 6] })])
    await clock.advance(0)
    expect(events.said).toEqual(['replaced', 'changed', 'replaced'])
    expect(feed.snapshot()).toContain('"revision":[2,2]')
  })

  it('is stale while the live state is away, goes on with the topic, and tries again', async () => {
    let away = true
    const { clock, feed, events, listener } = world(async () => {
      if (away) throw new AppError('PIPE_REDIS_UNAVAILABLE', 'away')
      return { epoch: 1, messages: [] }
    })
    await clock.advance(0)
    expect(events.said).toEqual(['stale'])
    listener()?.onValues([value(2)])
    expect(feed.snapshot()).toBeUndefined()
    away = false
    await clock.advance(1_000)
    expect(events.said.slice(-2)).toEqual(['fresh', 'replaced'])
    expect(feed.snapshot()).toContain('"value":2')
  })
})

describe('the feed of sessions', () => {
  const session = (more: Partial<SessionMessage> = {}): SessionMessage => ({
    project: 'shop',
    sessionId: 's-1',
    startedAt: 1,
    firstEventAt: 1,
    lastEventAt: 2,
    totalEvents: 3,
    pageViews: 2,
    hasConversion: false,
    isNew: null,
    userId: 'ada',
    trafficSource: 'direct',
    deviceType: '',
    country: '',
    entryPage: '/',
    exitPage: '/',
    revision: [1, 7],
    final: true,
    ...more
  })
  const open = (personal: boolean) => {
    const { topics, listener } = createTopics<SessionMessage>()
    const deps = { topics, recent, alias: (project: string, id: string) => `alias of ${id} in ${project}` }
    const feed = openSessionFeed({ project: 'shop', personal }, deps, createEvents())
    return { feed, listener: listener('sessions.shop shop') }
  }

  it('names no person unless the project says so', () => {
    const { feed, listener } = open(false)
    listener?.onValues([session()])
    expect(feed.snapshot()).toContain('"sessionId":"alias of s-1 in shop"')
    expect(feed.snapshot()).not.toContain('ada')
    const shown = open(true)
    shown.listener?.onValues([session()])
    expect(shown.feed.snapshot()).toContain('"sessionId":"s-1","userId":"ada"')
  })

  it('shows a session again when it went on, and no repeat of the log', () => {
    const { feed, listener } = open(false)
    listener?.onValues([session(), session(), session({ revision: [1, 5] })])
    expect(JSON.parse(`{${feed.takeChanges()}}`)).toMatchObject({ data: [{ totalEvents: 3 }] })
    expect(feed.takeChanges()).toBeUndefined()
    listener?.onValues([session({ revision: [1, 9], totalEvents: 4 }), session({ startedAt: 5, totalEvents: 1 })])
    expect(JSON.parse(feed.snapshot() ?? '')).toMatchObject([{ totalEvents: 4 }, { totalEvents: 1 }])
  })
})

describe('the feed of events', () => {
  const event = (eventId: string, eventType = 'page_view'): ProcessedEvent => ({
    eventId,
    eventType,
    timestamp: '2026-01-01T00:00:00.000Z',
    receivedAt: '2026-01-01T00:00:00.000Z',
    path: '/cart',
    trafficSource: 'direct',
    deviceType: 'desktop',
    os: '',
    browser: '',
    country: '',
    userId: 'ada',
    anonymousId: 'a-1',
    sessionId: 's-1',
    url: 'https://shop.example/cart?email=ada@example.com',
    referrer: 'https://mail.example/inbox',
    title: 'Ada',
    properties: '{"card":"4111"}',
    isBot: false
  })
  const open = (more: { sample?: number; eventTypes?: readonly string[]; personal?: boolean; keep?: number } = {}) => {
    const { topics, listener } = createTopics<ProcessedEvent>()
    const { sample = 1, eventTypes = [], personal = false, keep = 3 } = more
    const skipped: number[] = []
    const options = { keep, maxPending: keep - 1, onSkipped: (count: number) => void skipped.push(count) }
    const deps = { topics, recent: options }
    const feed = openEventFeed(
      { project: 'shop', personal },
      { to: 'events', sample, eventTypes },
      deps,
      createEvents()
    )
    return { feed, skipped, listener: listener('events.processed.shop shop') }
  }
  const idsOf = (text: string | undefined) =>
    (JSON.parse(text ?? '[]') as ProcessedEvent[]).map(({ eventId }) => eventId)

  it('shows nothing that tells a person unless the project says so', () => {
    const { feed, listener } = open()
    listener?.onValues([event('e-1')])
    expect(feed.snapshot()).not.toMatch(/ada|a-1|s-1|mail|4111|Ada/)
    expect(idsOf(feed.snapshot())).toEqual(['e-1'])
    const shown = open({ personal: true })
    shown.listener?.onValues([event('e-1')])
    expect(shown.feed.snapshot()).toContain('"userId":"ada"')
  })

  it('shows the types that were asked for', () => {
    const { feed, listener } = open({ eventTypes: ['purchase'] })
    listener?.onValues([event('e-1'), event('e-2', 'purchase')])
    expect(idsOf(feed.snapshot())).toEqual(['e-2'])
  })

  it('samples by the id: always the same ones, about as many as asked for, and a smaller share within a larger', () => {
    const ids = Array.from({ length: 10_000 }, (_, index) => `order-${index}`)
    const shownBy = (sample: number) => {
      const { feed, listener } = open({ sample, keep: 20_000 })
      listener?.onValues(ids.map((id) => event(id)))
      return idsOf(feed.snapshot())
    }
    const [tenth, half] = [shownBy(0.1), shownBy(0.5)]
    expect(shownBy(0.1)).toEqual(tenth)
    expect(Math.abs(tenth.length - 1_000)).toBeLessThan(100)
    expect(Math.abs(half.length - 5_000)).toBeLessThan(200)
    const within = new Set(half)
    expect(tenth.filter((id) => !within.has(id))).toEqual([])
  })

  it('leaves out what does not fit a tick, and says how much', () => {
    const { feed, skipped, listener } = open()
    listener?.onValues(['1', '2', '3', '4'].map((id) => event(id)))
    const { data, skipped: told } = JSON.parse(`{${feed.takeChanges()}}`) as { data: ProcessedEvent[]; skipped: number }
    expect(data.map(({ eventId }) => eventId)).toEqual(['1', '2'])
    expect(told).toBe(2)
    expect(skipped).toEqual([1, 1])
    listener?.onValues([event('5')])
    expect(feed.takeChanges()).not.toContain('skipped')
  })
})
