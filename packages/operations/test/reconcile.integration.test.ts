// The comparison of log and warehouse on real Kafka and ClickHouse: green where all is there, and red with the name of
// what is not for each kind of loss.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEnrich, dlqTopic, rawTopic } from '@millrace/contracts'
import type { Admin, Kafka, Producer } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { unique, uniqueProject } from '@millrace/testkit/unique'
import { createProjectTopics } from '@millrace/testkit/worker'
import { migrate } from '../src/migrate.ts'
import { readLog } from '../src/read-log.ts'
import { reconcile } from '../src/reconcile.ts'
import type { ReconcileRequest, Reconciliation } from '../src/reconcile.ts'
import { createWarehouseSink } from '../src/warehouse-sink.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
let kafka: Kafka
let admin: Admin
let producer: Producer
let clickhouse: Clickhouse
let project: string
let topic: string
const group = unique('load')

beforeAll(async () => {
  const { DATABASE_DIRECT_URL, CLICKHOUSE_URL } = testEndpoints()
  await migrate({ databaseDirectUrl: DATABASE_DIRECT_URL, clickhouseUrl: CLICKHOUSE_URL, log })
  kafka = stack.use(await openTestKafka())
  admin = stack.use(await kafka.admin())
  producer = stack.use(await kafka.producer())
  clickhouse = stack.use(await openClickhouse({ url: CLICKHOUSE_URL, log, applicationName: 'test' }))
  project = uniqueProject('reconcile')
  topic = rawTopic(project)
  await createProjectTopics(admin, project)
  // 400 events, every tenth of them twice, one id that no query could quote, and one record that is no event.
  await produce([...Array.from({ length: 400 }, (_, index) => event(`e-${index}`)), event("tab\t, 'quote', ✓", 1)])
  await produce(Array.from({ length: 40 }, (_, index) => event(`e-${index * 10}`)))
  await produce([{ partition: 2, value: Buffer.from('no event') }])
  await load()
})
afterAll(() => stack.disposeAsync())

interface Produced {
  readonly partition: number
  readonly value: Buffer
}

function event(eventId: string, partition = Number(/\d+$/.exec(eventId)?.[0] ?? 0) % 4): Produced {
  const received = new Date().toISOString()
  return {
    partition,
    value: Buffer.from(
      JSON.stringify({ eventId, eventType: 'view', timestamp: '2026-06-01T10:00:00.000Z', receivedAt: received })
    )
  }
}

async function produce(records: readonly Produced[]): Promise<void> {
  const outcomes = await producer.produce(
    topic,
    records.map((record) => ({ ...record, key: null }))
  )
  expect(outcomes.every(({ kind }) => kind === 'acked')).toBe(true)
}

/** What a loader does: everything into the warehouse, then the positions. */
async function load(): Promise<void> {
  const sink = createWarehouseSink({ clickhouse, enrich: createEnrich(), clock: systemClock })
  const ranges = await admin.ranges(topic)
  const parts = ranges.map(({ partition, start, end }) => ({ topic, partition, from: start, to: end }))
  await readLog({ client: kafka.consumers, clock: systemClock }, parts, (records) => sink.add(records))
  await sink.end()
  await admin.setGroupOffsets(group, topic, new Map(ranges.map(({ partition, end }) => [partition, end])))
}

const compared = (change: Partial<ReconcileRequest> = {}): Promise<Reconciliation> =>
  reconcile(
    { admin, log: { client: kafka.consumers, clock: systemClock }, clickhouse, windows: undefined },
    { projectId: project, loadGroup: group, processGroup: group, ...change }
  )

async function writeLetter(partition: number, offset: bigint): Promise<void> {
  const text = {
    id: `${group}:${topic}:${partition}:${offset}`,
    topic,
    partition,
    offset,
    'append-time': Date.now(),
    group,
    stage: 'decode',
    'error-class': 'parse',
    'error-code': 'PIPE_NOT_AN_EVENT',
    'error-message': 'no',
    attempts: 1,
    'first-failure': Date.now(),
    'last-failure': Date.now(),
    'app-version': '1'
  }
  const headers = Object.fromEntries(Object.entries(text).map(([name, value]) => [`dlq.${name}`, String(value)]))
  await producer.produce(dlqTopic(project), [{ partition: 0, key: null, value: Buffer.from('x'), headers }])
}

describe('the comparison of log and warehouse', () => {
  it('names a record that is no event and has no letter, and is green when it has one', async () => {
    const end = (await admin.ranges(topic))[2]?.end ?? 0n
    const before = await compared()
    expect([before.isGreen, before.unlettered]).toEqual([
      false,
      { count: 1, examples: [{ partition: 2, offset: end - 1n, eventId: undefined }] }
    ])
    await writeLetter(2, end - 1n)
    const { parts: _parts, ...after } = await compared()
    const none = { count: 0, examples: [] }
    expect(after).toEqual({
      projectId: project,
      topic,
      records: 442,
      cut: 0n,
      events: 401,
      copies: 40,
      landed: 401,
      dead: 1,
      pending: 0n,
      missing: none,
      extra: none,
      repeated: none,
      unlettered: none,
      windows: undefined,
      isGreen: true
    })
  })

  it('takes several rows of one event in the table behind the view for what they are', async () => {
    await load()
    const found = await compared({ table: 'events_raw' })
    expect([found.landed, found.repeated.count, found.isGreen]).toEqual([401, 0, true])
  })

  it('does not call a copy lost whose first record lies before the range', async () => {
    const [oldest] = (await admin.ranges(topic)).filter(({ partition }) => partition === 0)
    const fromMs = Date.now()
    await produce([event('e-4')])
    await load()
    const later = await compared({ fromMs: fromMs - 5 })
    expect([later.records, later.landed, later.isGreen]).toEqual([1, 1, true])
    expect(oldest?.start).toBe(0n)
  })

  it('counts what the loaders have not come to as pending, not as lost', async () => {
    await produce([event('e-1000'), event('e-1001')])
    const found = await compared()
    expect([found.pending, found.isGreen]).toEqual([2n, true])
    await load()
  })

  it('is red for rows that were deleted and names their events, and for a record that was skipped', async () => {
    await clickhouse.command(
      `ALTER TABLE events_raw DELETE WHERE projectId = '${project}' AND eventId IN ('e-7', 'e-20')`,
      { settings: { mutations_sync: 1 } }
    )
    // A loader that moved its position over a record without its effect.
    await produce([event('skipped', 3)])
    const ends = (await admin.ranges(topic)).map(({ partition, end }) => [partition, end] as const)
    await admin.setGroupOffsets(group, topic, new Map(ends))
    const found = await compared()
    expect(found.missing.count).toBe(3)
    expect(found.missing.examples.map(({ eventId }) => eventId).toSorted()).toEqual(['e-20', 'e-7', 'skipped'])
    expect([found.isGreen, found.extra.count]).toEqual([false, 0])
    await load()
    expect((await compared()).isGreen).toBe(true)
  })

  it('is red for a row whose record is another event', async () => {
    const sink = createWarehouseSink({ clickhouse, enrich: createEnrich(), clock: systemClock })
    await sink.add([{ topic, partition: 1, offset: 0n, appendedAtMs: Date.now(), value: event('never-logged').value }])
    await sink.end()
    const found = await compared()
    expect([found.isGreen, found.extra]).toEqual([
      false,
      { count: 1, examples: [{ partition: 1, offset: 0n, eventId: undefined }] }
    ])
  })
})
