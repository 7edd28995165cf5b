// The aggregator as a process on real Kafka and a redis-server of its own: what the live state holds is a recount of the
// log, whatever happens to the process or to Redis.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { createWindowReader } from '@millrace/aggregation/window-reader'
import { decodeMetric, decodeSession, metricsTopic, rawTopic, sessionsTopic } from '@millrace/contracts'
import type { Admin, Kafka, ProduceRecord, Producer } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { migrate } from '@millrace/operations/migrate'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { eventually } from '@millrace/testkit/eventually'
import { openOwnRedis } from '@millrace/testkit/own-redis'
import type { OwnRedis } from '@millrace/testkit/own-redis'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { unique, uniqueProject } from '@millrace/testkit/unique'
import { createProjectTopics, startWorker } from '@millrace/testkit/worker'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
let kafka: Kafka
let admin: Admin
let producer: Producer
let server: OwnRedis
let redis: Redis
let databaseUrl: string
let postgres: Postgres

beforeAll(async () => {
  kafka = stack.use(await openTestKafka())
  admin = stack.use(await kafka.admin())
  producer = stack.use(await kafka.producer())
  server = stack.use(await openOwnRedis(['--appendonly', 'yes']))
  // Rows of epochs belong to a state: those of this Redis must not be found by others.
  const databases = stack.use(await openTestDatabases('aggregate'))
  const { clickhouseUrl } = databases
  postgres = stack.use(await openPostgres({ url: databases.databaseUrl, poolSize: 1, log, name: 'test' }))
  ;({ databaseUrl } = databases)
  await migrate({ databaseDirectUrl: databaseUrl, clickhouseUrl, log })
  redis = stack.use(await openRedis({ url: server.url, role: 'state', log, requirePolicy: 'now' }))
})
afterAll(() => stack.disposeAsync())

const env = () => ({
  REDIS_STATE_URL: server.url,
  DATABASE_URL: databaseUrl,
  SESSION_TIMEOUT_MS: '6s',
  HEARTBEAT_INTERVAL_MS: '500',
  CHECK_EVERY_MS: '300',
  CLOCK_EVERY_MS: '200',
  CLOCK_MARGIN_MS: '200'
})

interface Sent {
  readonly id: string
  readonly atMs: number
}

/** Events with these ids; copies of an id are equal. */
function eventsOf(ids: readonly string[], atMs: number): { records: ProduceRecord[]; sent: Sent[] } {
  const sent = ids.map((id) => ({ id, atMs: atMs + Number(/\d+$/.exec(id)?.[0] ?? 0) }))
  const records = sent.map(({ id, atMs: timestamp }): ProduceRecord => {
    const number = Number(/\d+$/.exec(id)?.[0] ?? 0)
    const event = {
      eventId: id,
      eventType: number % 3 === 0 ? 'purchase' : 'page_view',
      userId: `u${number % 7}`,
      sessionId: `s${number % 5}`,
      timestamp: new Date(timestamp).toISOString(),
      properties: { revenue: number }
    }
    return { partition: number % 4, key: id, value: Buffer.from(JSON.stringify(event)) }
  })
  return { records, sent }
}

const ids = (first: number, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `e-${first + index}`)

async function produce(project: string, records: readonly ProduceRecord[]): Promise<void> {
  const outcomes = await producer.produce(rawTopic(project), records)
  expect(outcomes.filter(({ kind }) => kind !== 'acked')).toEqual([])
}

const hourOf = (atMs: number): number => atMs - (atMs % 3_600_000)

/** Events, by type, and users that the live state counts in the hours of `sent`. */
async function counted(project: string, sent: readonly Sent[]) {
  const hours = [...new Set(sent.map(({ atMs }) => hourOf(atMs)))]
  const read = createWindowReader(redis)
  const reply = await read.read(
    project,
    hours.flatMap((hour) => [`events:1h:${hour}`, `revenue:1h:${hour}`])
  )
  let [events, purchases, revenue] = [0, 0, 0n]
  for (const value of reply.windows.values()) {
    if (value.name.startsWith('revenue')) revenue += value.values.get('')?.sum ?? 0n
    else {
      events += value.values.get('')?.count ?? 0
      purchases += value.values.get('["purchase"]')?.count ?? 0
    }
  }
  return { events, purchases, revenue }
}

/** The same counted from the ids: each once. */
function recount(sent: readonly Sent[]) {
  const numbers = [...new Set(sent.map(({ id }) => id))].map((id) => Number(/\d+$/.exec(id)?.[0] ?? 0))
  const purchases = numbers.filter((number) => number % 3 === 0)
  return {
    events: numbers.length,
    purchases: purchases.length,
    revenue: BigInt(purchases.reduce((sum, number) => sum + number, 0)) * 1_000_000n
  }
}

async function eventuallyCounted(project: string, sent: readonly Sent[]): Promise<void> {
  const { events } = recount(sent)
  await eventually(`${events} events of ${project} are counted`, async () => {
    return (await counted(project, sent)).events >= events
  })
  expect(await counted(project, sent)).toEqual(recount(sent))
}

describe('the aggregator', () => {
  it('counts each event of the log once, passes over what is no event, and commits behind them', async () => {
    const project = uniqueProject('agg')
    await createProjectTopics(admin, project)
    const now = Date.now() - 60_000
    const { records, sent } = eventsOf([...ids(0, 500), ...ids(0, 50), ...ids(490, 200)], now)
    const garbage: ProduceRecord = { partition: 1, key: null, value: Buffer.from('not JSON') }
    await produce(project, [...records.slice(0, 100), garbage, ...records.slice(100), garbage])
    await using worker = await startWorker({ service: 'aggregator', project, env: env() })
    await eventuallyCounted(project, sent)
    const seen = await createRedisEpochs(redis).look(project)
    const positions = seen.epochs.get(1)?.partitions.map(({ position }) => position)
    expect(positions).toEqual((await admin.ranges(rawTopic(project))).map(({ end }) => end))
    await eventually('the group committed', async () => {
      const offsets = await admin.groupOffsets(worker.group, rawTopic(project))
      return positions?.every((position, partition) => offsets.get(partition) === position) ?? false
    })
    const series = await (await fetch(`${worker.service.url}/metrics`)).text()
    expect(series).toMatch(/analytics_events_dropped_total\{[^}]*reason="invalid"[^}]*\} 2$/m)
    expect(series).toMatch(/analytics_aggregator_events_total\{[^}]*outcome="counted"[^}]*\} 690$/m)
    expect(series).toMatch(/analytics_aggregator_events_total\{[^}]*outcome="duplicate"[^}]*\} 60$/m)
  })

  it('goes on where Redis stands after it is killed behind an apply, whatever its group has committed', async () => {
    const project = uniqueProject('agg')
    await createProjectTopics(admin, project)
    const { records, sent } = eventsOf(ids(0, 2_000), Date.now() - 60_000)
    await produce(project, records)
    await using worker = await startWorker({
      service: 'aggregator',
      project,
      env: { ...env(), BATCH_SIZE: '100' },
      // The second process is in a group without commits, and need not wait for the first one's place.
      firstEnv: { CONSUMER_GROUP: unique('first'), MILLRACE_FAULTS: 'aggregator.after-apply:kill:3' }
    })
    await eventuallyCounted(project, sent)
    expect(worker.service.starts).toBe(2)
    const series = await (await fetch(`${worker.service.url}/metrics`)).text()
    const again = Number(/^analytics_aggregator_events_total\{[^}]*outcome="counted"[^}]*\} (\d+)$/m.exec(series)?.[1])
    expect(again).toBeLessThan(2_000)
  })

  it('emits what changes at once, and each closed session with its facts', async () => {
    const project = uniqueProject('agg')
    await createProjectTopics(admin, project)
    await using _worker = await startWorker({
      service: 'aggregator',
      project,
      env: { ...env(), LATENESS_MS: '2s', SESSION_IDLE_MS: '300' }
    })
    const { records, sent } = eventsOf(ids(0, 100), Date.now() - 500)
    await produce(project, records)
    const hour = hourOf(sent[0]?.atMs ?? 0)
    await using watched = await watch(metricsTopic('events'), decodeMetric)
    await using closed = await watch(sessionsTopic(project), decodeSession)
    await eventually('the count of the hour is emitted', () =>
      watched.messages.some(
        ({ project: of, granularity, timestamp, dimension, value }) =>
          of === project && granularity === '1h' && timestamp === hour && dimension === undefined && value === 100
      )
    )
    await eventually('every session is closed', () => closed.messages.length >= 5)
    const first = closed.messages.find(({ sessionId }) => sessionId === 's0')
    expect(first).toMatchObject({
      project,
      firstEventAt: sent[0]?.atMs,
      lastEventAt: sent[95]?.atMs,
      totalEvents: 20,
      pageViews: 13,
      hasConversion: true,
      isNew: true,
      revision: [1, 41]
    })
    expect(new Set(closed.messages.map(({ sessionId }) => sessionId)).size).toBe(5)
    const rate = await createWindowReader(redis).read(project, [`bounce_rate:1h:${hour}`])
    expect(rate.windows.get(`bounce_rate:1h:${hour}`)?.values.get('')).toMatchObject({ count: 5, sum: 0n })
  })

  it('makes old windows final, and a day of their hours', async () => {
    const project = uniqueProject('agg')
    await createProjectTopics(admin, project)
    // The log of three hours ago: its records say themselves when they were appended.
    await admin.alterTopicConfig(rawTopic(project), { 'message.timestamp.type': 'CreateTime' })
    const atMs = Date.now() - 3 * 3_600_000
    const { records, sent } = eventsOf(ids(0, 100), atMs)
    await produce(
      project,
      records.map((record) => ({ ...record, timestampMs: atMs + 1_000 }))
    )
    await using _worker = await startWorker({ service: 'aggregator', project, env: env() })
    await eventuallyCounted(project, sent)
    const hour = hourOf(atMs)
    await using watched = await watch(metricsTopic('active_users'), decodeMetric)
    await eventually('the hour is final', () =>
      watched.messages.some(
        ({ project: of, granularity, timestamp, value, final }) =>
          of === project && granularity === '1h' && timestamp === hour && value === 7 && final
      )
    )
    const days = async () =>
      await postgres.query(
        `SELECT metric_name, dimension_value, value, source FROM daily_metrics
         WHERE project_id = $1 AND metric_name IN ('events', 'active_users') ORDER BY metric_name, dimension_value`,
        [project]
      )
    await eventually('the day is written', async () => (await days()).length === 4)
    expect(await days()).toEqual([
      { metric_name: 'active_users', dimension_value: '', value: 7, source: 'live' },
      { metric_name: 'events', dimension_value: '', value: 100, source: 'live' },
      { metric_name: 'events', dimension_value: '["page_view"]', value: 66, source: 'live' },
      { metric_name: 'events', dimension_value: '["purchase"]', value: 34, source: 'live' }
    ])
  })

  it('notices by itself that Redis went back, and begins a new epoch when Redis is empty', async () => {
    const project = uniqueProject('agg')
    await createProjectTopics(admin, project)
    await using _worker = await startWorker({ service: 'aggregator', project, env: env() })
    const first = eventsOf(ids(0, 300), Date.now() - 60_000)
    await produce(project, first.records)
    await eventuallyCounted(project, first.sent)
    await save(project)
    const second = eventsOf(ids(200, 300), Date.now() - 60_000)
    const all = [...first.sent, ...second.sent]
    await produce(project, second.records)
    await eventuallyCounted(project, all)
    await rollBack(project)
    await eventuallyCounted(project, all)
    expect((await createRedisEpochs(redis).look(project)).pointer).toBe(1)
    // A row of the last minute would be taken for one that somebody is about to make true.
    await postgres.query(`UPDATE state_epochs SET created_at = created_at - interval '2 minutes'`)
    await redis.command('FLUSHALL')
    await eventuallyCounted(project, all)
    expect((await createRedisEpochs(redis).look(project)).pointer).toBe(2)
  })
})

/** Reads a topic from the start in a group of its own. */
async function watch<M>(topic: string, decode: (value: Buffer | null) => M | undefined) {
  const messages: M[] = []
  const options = {
    groupId: unique('watch'),
    topics: async () => [topic],
    fallback: 'earliest',
    sessionTimeoutMs: 6_000,
    heartbeatIntervalMs: 1_000,
    rebalanceTimeoutMs: 6_000,
    topicRefreshMs: 1_000,
    maxBytesPerPartition: 1_000_000,
    maxWaitMs: 100
  } as const
  const member = await kafka.consumers.join(options, {
    onAssigned: async () => new Map(),
    onRevoking: async () => undefined,
    onBatch: async ({ records }) => void messages.push(...records.flatMap(({ value }) => decode(value) ?? [])),
    onOutOfRange: () => undefined,
    onFatal: () => undefined
  })
  return { messages, [Symbol.asyncDispose]: () => member.stop() }
}

/** Sets the keys of `project` aside. */
async function save(project: string): Promise<void> {
  const copy = `for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('COPY', key, 'saved:' .. key, 'REPLACE') end`
  await redis.command('EVAL', copy, 0, `*{${project}}*`)
}

/** Puts them back as they were, as a Redis that lost the end of its append-only file. */
async function rollBack(project: string): Promise<void> {
  const restore = `
    for _, key in ipairs(redis.call('KEYS', '*' .. ARGV[1])) do
      if string.sub(key, 1, 6) ~= 'saved:' then redis.call('DEL', key) end
    end
    for _, key in ipairs(redis.call('KEYS', 'saved:*' .. ARGV[1])) do
      redis.call('RENAME', key, string.sub(key, 7))
    end`
  await redis.command('EVAL', restore, 0, `{${project}}*`)
}
