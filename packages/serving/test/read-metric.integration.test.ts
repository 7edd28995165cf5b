// Metrics read on real Redis and ClickHouse that hold the same events in time: wherever the seam lies, the numbers are
// those of a recount.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createBatchApplier } from '@millrace/aggregation/apply-batch'
import { digestOf } from '@millrace/aggregation/fold'
import type { FoldItem } from '@millrace/aggregation/fold'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import { createRedisApply } from '@millrace/aggregation/redis-apply'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { liveTiming } from '@millrace/aggregation/timing'
import { createWindowReader } from '@millrace/aggregation/window-reader'
import { enrich, rawTopic } from '@millrace/contracts'
import { AppError, createManualClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { uniqueProject } from '@millrace/testkit/unique'
import { usualGranularity } from '../src/metric-answer.ts'
import type { MetricPoint, MetricQuestion } from '../src/metric-answer.ts'
import { readDimensions } from '../src/read-dimensions.ts'
import { readMetric } from '../src/read-metric.ts'
import type { MetricReaderDeps } from '../src/read-metric.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
const minute = 60_000
const hour = 60 * minute
const now = Date.UTC(2026, 10, 20, 15, 30)
const first = now - 5 * hour
const project = uniqueProject('serving')
let redis: Redis
let clickhouse: Clickhouse
let deps: MetricReaderDeps

const premium: MetricDefinition = {
  name: 'premium',
  version: 1,
  effectiveFromMs: 0,
  eventTypes: ['purchase'],
  where: [{ source: { from: 'property', name: 'vip' }, equals: 'true' }],
  measure: { kind: 'max', property: 'revenue' },
  dimensions: [{ from: 'property', name: 'plan' }],
  cap: 10,
  granularities: ['1m', '1h']
}
const metrics = [...builtInMetrics(['purchase']), premium]

/** An event every half minute from `first` to `now`, appended a second after its time. */
const events = Array.from({ length: 600 }, (_, number) => ({
  eventId: `e-${number}`,
  eventType: number % 3 === 0 ? 'purchase' : 'page_view',
  userId: `u${number % 5}`,
  sessionId: `s${Math.floor(number / 20)}`,
  timestamp: new Date(first + number * 30_000).toISOString(),
  properties: {
    revenue: number % 7 === 0 ? -1.5 : number / 10,
    vip: number % 2 === 0,
    plan: number % 4 === 0 ? 7.5 : 'größe'
  }
}))

beforeAll(async () => {
  const { CLICKHOUSE_URL, REDIS_STATE_URL } = testEndpoints()
  redis = stack.use(
    await openRedis({ url: REDIS_STATE_URL, role: 'state', log, requirePolicy: 'now', commandTimeoutMs: 5_000 })
  )
  clickhouse = stack.use(await openClickhouse({ url: CLICKHOUSE_URL, log, applicationName: 'test' }))
  const items = events.map((event, number): FoldItem => {
    const enriched = enrich({
      topic: rawTopic(project),
      partition: 0,
      offset: BigInt(number),
      appendedAtMs: Date.parse(event.timestamp) + 1_000,
      value: Buffer.from(JSON.stringify(event))
    })
    if (!enriched.ok) throw new Error('the test makes no event')
    return { row: enriched.row, digest: digestOf(event.eventId), dependsOnReceipt: false }
  })
  await createRedisEpochs(redis).init(project, 1, { startOffsets: [0n], completeFromMs: 0 })
  const applier = createBatchApplier({ apply: createRedisApply(redis), callId: () => 'test' })
  const range = { epoch: 1, partition: 0, from: 0n, to: 600n, appendedAtMs: now - 29_000, expired: 0 }
  const options = { timing: liveTiming, metrics, conversionTypes: new Set(['purchase']) }
  const applied = await applier.apply(project, range, items, options)
  if (applied.kind !== 'ok') throw new Error(`the live state did not take the events: ${applied.kind}`)
  const columns = ['projectId', 'eventId', 'eventType', 'userId', 'sessionId', 'timestamp', 'properties', 'version']
  const lines = items.map(({ row }) =>
    JSON.stringify({
      ...Object.fromEntries(columns.map((name) => [name, row[name as keyof typeof row]])),
      timestamp: new Date(row.timestamp).toISOString().replace('T', ' ').replace('Z', '')
    })
  )
  await clickhouse.insertLines('events_raw', columns, Buffer.from(`${lines.join('\n')}\n`), { queryId: project })
  deps = {
    windows: createWindowReader(redis),
    clickhouse,
    definitionsOf: async () => metrics,
    daysOf: async () => [],
    conversionTypes: ['purchase'],
    clock: createManualClock(now),
    latenessMs: liveTiming.latenessMs
  }
})
afterAll(() => stack.disposeAsync())

const noRedis: MetricReaderDeps['windows'] = {
  read: () => Promise.reject(new AppError('PIPE_REDIS_UNAVAILABLE', 'away'))
}
const noWarehouse: MetricReaderDeps['clickhouse'] = {
  rows: () => Promise.reject(new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'away'))
}

const ask = (over: Partial<MetricQuestion>): MetricQuestion => ({
  project,
  metric: 'events',
  granularity: '1m',
  fromMs: first,
  toMs: now,
  ...over
})

/** Value and count of each window from the events themselves. */
function recount(
  { fromMs, toMs }: MetricQuestion,
  lengthMs: number,
  valueOf: (windowEvents: typeof events) => { value: number | null; count: number }
) {
  return Array.from({ length: Math.ceil((toMs - fromMs) / lengthMs) }, (_, index) => {
    const start = fromMs + index * lengthMs
    return valueOf(events.filter(({ timestamp }) => Math.floor((Date.parse(timestamp) - start) / lengthMs) === 0))
  })
}

const shown = (data: readonly MetricPoint[]) => data.map(({ value, count }) => ({ value, count }))
const counted = (each: typeof events) => ({ value: each.length, count: each.length })

describe('a metric over time', () => {
  it('is the same on both sides of the seam, and from the warehouse alone', async () => {
    const spent = (each: typeof events) => {
      const bought = each.filter(({ eventType }) => eventType === 'purchase')
      const sum = bought.reduce((total, { properties }) => total + Math.round(properties.revenue * 1e6), 0)
      return { value: sum / 1e6, count: bought.length }
    }
    const best = (plan: unknown) => (each: typeof events) => {
      const of = each.filter(
        ({ eventType, properties }) => eventType === 'purchase' && properties.vip && properties.plan === plan
      )
      return {
        value: of.length === 0 ? null : Math.max(...of.map(({ properties }) => properties.revenue)),
        count: of.length
      }
    }
    const bought = (each: typeof events) => counted(each.filter(({ eventType }) => eventType === 'purchase'))
    const users = (each: typeof events) => ({
      value: new Set(each.map(({ userId }) => userId)).size,
      count: each.length
    })
    const cases = [
      [ask({}), counted],
      [ask({ dimension: ['purchase'] }), bought],
      [ask({ metric: 'revenue' }), spent],
      [ask({ metric: 'active_users' }), users],
      [ask({ metric: 'premium', dimension: ['7.5'] }), best(7.5)],
      [ask({ metric: 'premium', dimension: ['größe'] }), best('größe')]
    ] as const
    for (const [question, valueOf] of cases) {
      const mixed = await readMetric(deps, question)
      expect(mixed.source).toBe('mixed')
      expect(shown(mixed.data)).toEqual(recount(question, minute, valueOf))
      const stored = await readMetric({ ...deps, windows: noRedis }, question)
      expect(stored.source).toBe('warehouse')
      expect(shown(stored.data)).toEqual(recount(question, minute, valueOf))
    }
  })

  it('is unknown, not zero, where only a source that is away could tell', async () => {
    const { data, source } = await readMetric({ ...deps, clickhouse: noWarehouse }, ask({}))
    expect(source).toBe('live')
    const old = data.filter(({ timestampMs }) => timestampMs < now - 2 * hour - minute)
    expect(new Set(old.map(({ value, complete }) => `${value} ${complete}`))).toEqual(new Set(['null false']))
    expect(shown(data.slice(-100))).toEqual(recount(ask({ fromMs: now - 100 * minute }), minute, counted))
    await expect(readMetric({ ...deps, clickhouse: noWarehouse, windows: noRedis }, ask({}))).rejects.toMatchObject({
      code: 'PIPE_CLICKHOUSE_UNAVAILABLE'
    })
  })

  it('has zeros for hours and days without events, and adds days up from their hours', async () => {
    const hours = await readMetric(deps, ask({ granularity: '1h', fromMs: first - 30 * minute - 2 * hour }))
    expect(hours.source).toBe('live')
    expect(shown(hours.data).map(({ value }) => value)).toEqual([0, 0, 60, 120, 120, 120, 120, 60])
    const today = await readMetric(deps, ask({ granularity: '1d', fromMs: now - 48 * hour }))
    expect(today.source).toBe('mixed')
    expect(today.data.map(({ value, provisional, complete }) => [value, provisional, complete])).toEqual([
      [0, false, true],
      [600, true, false]
    ])
    const users = await readMetric(deps, ask({ metric: 'active_users', granularity: '1d', fromMs: now - 24 * hour }))
    expect(users.data.at(-1)).toMatchObject({ value: 5, uniqueUsers: 5, count: 600 })
  })

  it('tells rates of sessions from the warehouse where the live state has none', async () => {
    const question = ask({ metric: 'session_duration', granularity: '1h', fromMs: first + 30 * minute })
    const { data } = await readMetric({ ...deps, windows: noRedis }, question)
    // Twenty events half a minute apart: 570 seconds, six sessions an hour.
    expect(data[0]).toMatchObject({ value: 570_000, count: 6, numerator: 3_420_000, denominator: 6 })
    const rate = await readMetric({ ...deps, windows: noRedis }, { ...question, metric: 'bounce_rate' })
    expect(rate.data[0]).toMatchObject({ value: 0, numerator: 0, denominator: 6 })
  })

  it('takes days that were written down once they are closed, and those of the warehouse at once', async () => {
    const day = Date.UTC(2026, 10, 10)
    const row = {
      projectId: project,
      metric: 'events',
      dimensionKey: '',
      dimensionValue: '',
      value: 11,
      count: 11,
      capped: false,
      revision: [1, 22] as const,
      source: 'live' as const
    }
    const daysOf: MetricReaderDeps['daysOf'] = async () => [
      { ...row, dayMs: day },
      { ...row, dayMs: Date.UTC(2026, 10, 20), value: 12 },
      { ...row, dayMs: day + 24 * hour, value: 13, source: 'warehouse' }
    ]
    const question = ask({ granularity: '1d', fromMs: day, toMs: now })
    const { data } = await readMetric({ ...deps, daysOf }, question)
    expect(data.map(({ value }) => value)).toEqual([11, 13, 0, 0, 0, 0, 0, 0, 0, 0, 600])
  })

  it('is refused for what it cannot be', async () => {
    const refused = (over: Partial<MetricQuestion>, code: string) =>
      expect(readMetric(deps, ask(over))).rejects.toMatchObject({ code })
    await refused({ metric: 'nothing' }, 'PIPE_NOT_FOUND')
    await refused({ metric: 'bounce_rate', granularity: '1m' }, 'PIPE_INVALID_INPUT')
    await refused({ metric: 'revenue', dimension: ['x'] }, 'PIPE_INVALID_INPUT')
    await refused({ fromMs: now, toMs: first }, 'PIPE_INVALID_INPUT')
    await refused({ fromMs: now - 24 * 30 * hour }, 'PIPE_INVALID_INPUT')
  })
})

describe('daily_active_users', () => {
  it('is active_users by days, and nothing else', async () => {
    const question = ask({ metric: 'daily_active_users', granularity: '1d', fromMs: now - (now % (24 * hour)) })
    const answer = await readMetric(deps, question)
    expect(answer).toMatchObject({ metric: 'daily_active_users', granularity: '1d' })
    expect(answer.data).toMatchObject([{ value: 5, uniqueUsers: 5, count: 600, provisional: true }])
    expect(usualGranularity('daily_active_users')).toBe('1d')
    await expect(readMetric(deps, { ...question, granularity: '1h' })).rejects.toMatchObject({
      code: 'PIPE_INVALID_INPUT'
    })
  })
})

describe('a metric by its values', () => {
  const spent = ask({ metric: 'events', granularity: '1h', fromMs: first - (first % hour) })

  it.each([
    ['live state and warehouse', {}],
    ['the warehouse alone', { windows: noRedis }],
    ['the live state alone', { clickhouse: noWarehouse }]
  ])('is each value as it is read alone, the most frequent first, from %s', async (_from, away) => {
    const reader = { ...deps, ...away }
    const { dimensions, kind, total, values } = await readDimensions(reader, spent, 10)
    expect([kind, dimensions, total]).toEqual(['count', ['eventType'], await readMetric(reader, spent)])
    expect(values.map(({ dimension }) => dimension)).toEqual([['page_view'], ['purchase']])
    for (const value of values) {
      const { dimension = [] } = value
      expect(value).toEqual(await readMetric(reader, { ...spent, dimension }))
    }
    const counts = values.map(({ data }) => data.reduce((sum, { count }) => sum + (count ?? 0), 0))
    expect(counts).toEqual([400, 200])
  })

  it('asks each store once for all values, and for no number of distinct members to choose them', async () => {
    const asked = { reads: [] as unknown[], rows: 0 }
    const reader: MetricReaderDeps = {
      ...deps,
      windows: {
        read: async (project, names, dimensions, options) => {
          asked.reads.push([dimensions?.length, options?.plain])
          return await deps.windows.read(project, names, dimensions, options)
        }
      },
      clickhouse: {
        rows: async (sql, params) => {
          asked.rows++
          return await deps.clickhouse.rows(sql, params)
        }
      }
    }
    const minutes = ask({ metric: 'events', granularity: '1m' })
    const { values } = await readDimensions(reader, minutes, 10)
    for (const value of values)
      expect(value).toEqual(await readMetric(deps, { ...minutes, dimension: value.dimension ?? [] }))
    // The total, what is there, and the values; of the warehouse likewise.
    expect(asked).toEqual({
      reads: [
        [1, undefined],
        [undefined, true],
        [2, undefined]
      ],
      rows: 3
    })
  })

  it('is split by the dimensions that hold at the end of the span, from when they hold', async () => {
    const [events] = metrics.filter(({ name }) => name === 'events')
    if (events === undefined) throw new Error('there is no metric events')
    const from = spent.fromMs + 2 * hour
    const country: MetricDefinition['dimensions'] = [...events.dimensions, { from: 'column', name: 'userId' }]
    const versions = [
      events,
      { ...events, version: 2, effectiveFromMs: from, dimensions: country },
      // Announced, and not in force yet.
      { ...events, version: 3, effectiveFromMs: now + hour, dimensions: [] }
    ]
    const reader = { ...deps, windows: noRedis, definitionsOf: async () => versions }
    const { dimensions, total, values } = await readDimensions(reader, spent, 3)
    expect([dimensions, total.data.length]).toEqual([['eventType', 'userId'], 6])
    expect(values.map(({ data }) => data[0]?.timestampMs)).toEqual([from, from, from])
    expect(values.every(({ dimension }) => dimension?.length === 2)).toBe(true)
  })

  it('is at most as many as are asked for, and refused where there are none', async () => {
    expect((await readDimensions(deps, spent, 1)).values.map(({ dimension }) => dimension)).toEqual([['page_view']])
    await expect(readDimensions(deps, { ...spent, metric: 'sessions' }, 1)).rejects.toMatchObject({
      code: 'PIPE_INVALID_INPUT'
    })
  })
})
