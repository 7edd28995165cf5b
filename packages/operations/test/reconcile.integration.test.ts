// The comparison of log, archive and warehouse on real Kafka, ClickHouse and PostgreSQL: green where all is there, and red
// with the name of what is not for each kind of loss.
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEnrich, dlqTopic, rawTopic } from '@millrace/contracts'
import type { Admin, Kafka, Producer } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { createArchiveFileWriter } from '@millrace/stores/archive-file'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres, Queryable } from '@millrace/stores/postgres'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { trimLog } from '@millrace/testkit/trim-log'
import { unique, uniqueProject } from '@millrace/testkit/unique'
import { createProjectTopics } from '@millrace/testkit/worker'
import { migrate } from '../src/migrate.ts'
import { readLog } from '../src/read-log.ts'
import { reconcile } from '../src/reconcile.ts'
import type { ReconcileRequest, Reconciliation } from '../src/reconcile.ts'
import { lastReconciliations, saveReconciliations } from '../src/reconciliations.ts'
import { createWarehouseSink } from '../src/warehouse-sink.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
let kafka: Kafka
let admin: Admin
let producer: Producer
let clickhouse: Clickhouse
let postgres: Postgres
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
  postgres = stack.use(await openPostgres({ url: DATABASE_DIRECT_URL, poolSize: 1, log, name: 'test' }))
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

/** Archived files by their keys. */
const objects = new Map<string, Buffer>()

function compared(change: Partial<ReconcileRequest> = {}): Promise<Reconciliation> {
  const get = async (key: string): Promise<Buffer> => objects.get(key) ?? Buffer.from('no file')
  const archive = { manifest: createArchiveManifest(postgres), objects: { get } }
  return reconcile(
    { admin, log: { client: kafka.consumers, clock: systemClock }, clickhouse, windows: undefined, archive },
    { projectId: project, loadGroup: group, processGroup: group, ...change }
  )
}

/** What an archiver does: the records of the log in a file of each partition. Resolves with their ends. */
async function archiveAll(): Promise<ReadonlyMap<number, bigint>> {
  const manifest = createArchiveManifest(postgres)
  const ranges = await admin.ranges(topic)
  for (const { partition, start, end } of ranges) {
    const chunks: Buffer[] = []
    const writer = createArchiveFileWriter((bytes) => void chunks.push(Buffer.from(bytes)))
    const times: number[] = []
    const part = { topic, partition, from: start, to: end }
    await readLog({ client: kafka.consumers, clock: systemClock }, [part], (records) => {
      writer.group(records.map((record) => ({ ...record, headers: '{}', event: undefined })))
      times.push(...records.map(({ appendedAtMs }) => appendedAtMs))
    })
    writer.finish()
    const bytes = Buffer.concat(chunks)
    const at = { topic, partition, epoch: 1, first: start, last: end - 1n }
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const key = `${topic}/${partition}`
    objects.set(key, bytes)
    await manifest.open(at)
    const size = { rows: times.length, holes: 0, rawBytes: 1, fileBytes: bytes.byteLength, contentCrc: 0 }
    const between = { firstAppendedAtMs: times[0] ?? 0, lastAppendedAtMs: times.at(-1) ?? 0 }
    await manifest.claim({ ...at, ...size, ...between, sha256, key }, [])
  }
  return new Map(ranges.map(({ partition, end }) => [partition, end]))
}

const deleteRows = (...ids: readonly string[]): Promise<void> =>
  clickhouse.command(
    `ALTER TABLE events_raw DELETE WHERE projectId = '${project}' AND eventId IN (${ids.map((id) => `'${id}'`).join()})`,
    { settings: { mutations_sync: 1 } }
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
      archived: 0,
      gone: 0n,
      cut: 0n,
      events: 401,
      copies: 40,
      landed: 401,
      dead: 1,
      forgotten: 0,
      past: 0,
      pending: 0n,
      unplaced: [],
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
    await deleteRows('e-7', 'e-20')
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

  it('compares what retention took by the archive, when a time before the log is asked for', async () => {
    await deleteRows('never-logged')
    const whole = await compared()
    const ends = await archiveAll()
    const halves = new Map([...ends].map(([partition, end]) => [partition, end / 2n]))
    await trimLog(testEndpoints().KAFKA_BROKERS, topic, halves)
    const taken = Number([...halves.values()].reduce((sum, half) => sum + half, 0n))
    const left = await compared()
    expect([left.records, left.archived, left.isGreen]).toEqual([whole.records - taken, 0, true])
    const again = await compared({ fromMs: 1 })
    expect(again).toEqual({ ...whole, archived: taken })
    // The first event of a partition, and the last one.
    await deleteRows('e-1', 'e-1001')
    const red = await compared({ fromMs: 1 })
    expect([red.isGreen, red.missing.examples.map(({ eventId }) => eventId).toSorted()]).toEqual([
      false,
      ['e-1', 'e-1001']
    ])
    objects.clear()
    await expect(compared({ fromMs: 1 })).rejects.toMatchObject({ code: 'PIPE_INVALID_INPUT' })
  })

  it('keeps what was found last of each project, also of one that could not be compared since', async () => {
    const found = await compared()
    const kept = async (tx: Queryable): Promise<void> => {
      const fails = [{ projectId: 'b', reason: 'no\u0000answer' }]
      await saveReconciliations(tx, {
        endedMs: 1_000,
        projects: [found, { ...found, projectId: 'gone' }],
        failed: fails
      })
      const failed = [...fails, { projectId: project, reason: 'later' }]
      await saveReconciliations(tx, { endedMs: 61_000, projects: [], failed })
      const at = '1970-01-01T00:01:01.000Z'
      const { projects, ...told } = await lastReconciliations(tx, 121_000)
      expect(told).toEqual({
        endedAt: at,
        ageSeconds: 60,
        failed: failed
          .map((each) => ({ ...each, reason: each.reason.replace('\u0000', '\uFFFD'), at }))
          .toSorted((x, y) => (x.projectId < y.projectId ? -1 : 1))
      })
      expect(projects).toMatchObject([
        {
          projectId: project,
          gone: '0',
          records: found.records,
          comparedAt: '1970-01-01T00:00:01.000Z',
          ageSeconds: 120
        }
      ])
      await saveReconciliations(tx, { endedMs: 181_000, projects: [found], failed: [] })
      expect(await lastReconciliations(tx, 181_000)).toMatchObject({ projects: [{ ageSeconds: 0 }], failed: [] })
      throw new Error('nothing of this stays')
    }
    await expect(postgres.transaction(kept)).rejects.toThrow('nothing of this stays')
  })
})
