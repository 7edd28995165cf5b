// The trail of events on the real stores: where each sink has it, what waits, and what is dead.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEnrich, dlqTopic, rawTopic } from '@millrace/contracts'
import { partitionFor } from '@millrace/kafka'
import type { Admin, Kafka, Producer } from '@millrace/kafka'
import { AppError, systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { unique, uniqueProject } from '@millrace/testkit/unique'
import { createProjectTopics } from '@millrace/testkit/worker'
import { migrate } from '../src/migrate.ts'
import { readLog } from '../src/read-log.ts'
import { archiveSink, committedSink } from '../src/sinks.ts'
import { trailOf } from '../src/trail.ts'
import type { Trail, TrailDeps } from '../src/trail.ts'
import { createWarehouseSink } from '../src/warehouse-sink.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
const group = unique('load')
let kafka: Kafka
let admin: Admin
let producer: Producer
let deps: TrailDeps
let project: string
let topic: string

beforeAll(async () => {
  const { DATABASE_DIRECT_URL, DATABASE_URL, CLICKHOUSE_URL } = testEndpoints()
  await migrate({ databaseDirectUrl: DATABASE_DIRECT_URL, clickhouseUrl: CLICKHOUSE_URL, log })
  kafka = stack.use(await openTestKafka())
  admin = stack.use(await kafka.admin())
  producer = stack.use(await kafka.producer())
  const clickhouse = stack.use(await openClickhouse({ url: CLICKHOUSE_URL, log, applicationName: 'test' }))
  const postgres = stack.use(await openPostgres({ url: DATABASE_URL, poolSize: 2, log, name: 'test' }))
  const manifest = createArchiveManifest(postgres)
  const sampler = stack.use(await kafka.sampler())
  deps = {
    postgres,
    clickhouse,
    admin,
    log: { client: kafka.consumers, clock: systemClock },
    sinks: [committedSink(sampler, group), archiveSink(manifest, 'archive')],
    loadGroup: group,
    nowMs: Date.now()
  }
  project = uniqueProject('trail')
  topic = rawTopic(project)
  await createProjectTopics(admin, project)
  await write(...Array.from({ length: 200 }, (_, index) => `e-${index}`))
  const sink = createWarehouseSink({ clickhouse, enrich: createEnrich(), clock: systemClock })
  const ranges = await admin.ranges(topic)
  const parts = ranges.map(({ partition, start, end }) => ({ topic, partition, from: start, to: end }))
  await readLog({ client: kafka.consumers, clock: systemClock }, parts, (records) => sink.add(records))
  await sink.end()
  await admin.setGroupOffsets(group, topic, new Map(ranges.map(({ partition, end }) => [partition, end])))
  const log0 = { topic, partition: partitionFor('e-7', 4), epoch: 1 }
  await manifest.open(log0)
  await manifest.claim(
    {
      ...log0,
      first: 0n,
      last: 9_999n,
      rows: 10_000,
      holes: 0,
      firstAppendedAtMs: 0,
      lastAppendedAtMs: 1,
      rawBytes: 1,
      fileBytes: 1,
      sha256: '0'.repeat(64),
      contentCrc: 0,
      key: `archive/${project}/file.parquet`
    },
    []
  )
})
afterAll(() => stack.disposeAsync())

async function write(...ids: readonly string[]): Promise<void> {
  const receivedAt = new Date().toISOString()
  const outcomes = await producer.produce(
    topic,
    ids.map((eventId) => ({
      partition: partitionFor(eventId, 4),
      key: eventId,
      value: Buffer.from(JSON.stringify({ eventId, eventType: 'view', receivedAt }))
    }))
  )
  expect(outcomes.every(({ kind }) => kind === 'acked')).toBe(true)
}

const trail = (eventId: string, aroundMs?: number): Promise<Trail> =>
  trailOf(deps, { projectId: project, eventId, aroundMs })

describe('the trail of an event', () => {
  it('names the record, the position of each group, the row, and the file of the archive', async () => {
    const found = await trail('e-7')
    const partition = partitionFor('e-7', 4)
    expect([found.foundBy, found.place?.partition, found.warehouse?.rows]).toEqual(['warehouse', partition, 1])
    const end = (await admin.ranges(topic)).find((range) => range.partition === partition)?.end
    expect(found.groups).toEqual([
      { group, position: end, isPast: true, problem: undefined },
      { group: 'archive', position: 10_000n, isPast: true, problem: undefined }
    ])
    expect(found.archive).toEqual({ key: `archive/${project}/file.parquet`, first: 0n, last: 9_999n })
    expect([found.recorded, found.letters]).toEqual([undefined, []])
  })

  it('reads nothing of the log where a sink knows the place of the record', async () => {
    const join = (): never => {
      throw new Error('the log was read')
    }
    const found = await trailOf(
      { ...deps, log: { client: { join }, clock: systemClock } },
      { projectId: project, eventId: 'e-8' }
    )
    expect(found.foundBy).toBe('warehouse')
  })

  it('tells what it knows while the warehouse is away, and that it is away', async () => {
    const rows = (): never => {
      throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'no answer')
    }
    const found = await trailOf(
      { ...deps, clickhouse: { rows: async () => rows() } },
      { projectId: project, eventId: 'e-7' }
    )
    expect([found.problems, found.warehouse]).toEqual([['warehouse: no answer'], undefined])
  })

  it('finds what no sink has come to yet, and says that it waits', async () => {
    await write('waiting')
    const found = await trail('waiting')
    expect([found.foundBy, found.eventType, found.warehouse]).toEqual(['log', 'view', undefined])
    expect(found.groups[0]?.isPast).toBe(false)
  })

  it('finds a passed record that nobody kept around a time, and its dead letter', async () => {
    await write('refused')
    const partition = partitionFor('refused', 4)
    const range = (await admin.ranges(topic)).find((each) => each.partition === partition)
    const offset = (range?.end ?? 0n) - 1n
    await admin.setGroupOffsets(group, topic, new Map([[partition, offset + 1n]]))
    expect((await trail('refused')).place).toBeUndefined()
    expect((await trail('refused', Date.now())).place?.offset).toBe(offset)
    const text = {
      id: `${group}:${topic}:${partition}:${offset}`,
      topic,
      partition,
      offset,
      'append-time': Date.now(),
      group,
      stage: 'handle',
      'error-class': 'constraint',
      'error-code': 'PIPE_CLICKHOUSE_REFUSED',
      'error-message': 'no',
      attempts: 3,
      'first-failure': Date.now(),
      'last-failure': Date.now(),
      'app-version': '1'
    }
    const headers = Object.fromEntries(Object.entries(text).map(([name, value]) => [`dlq.${name}`, String(value)]))
    await producer.produce(dlqTopic(project), [{ partition: 0, key: 'refused', value: Buffer.from('x'), headers }])
    const dead = await trail('refused')
    expect([dead.foundBy, dead.place?.offset]).toEqual(['letters', offset])
    expect(dead.letters.map(({ reason, code }) => [reason, code])).toEqual([['constraint', 'PIPE_CLICKHOUSE_REFUSED']])
  })

  it('knows nothing of an event that never was', async () => {
    expect(await trail('never')).toMatchObject({ place: undefined, foundBy: undefined, groups: [], letters: [] })
    await expect(trailOf(deps, { projectId: 'nobody-has-this', eventId: 'x' })).rejects.toThrow('there is no topic')
    await expect(trail('')).rejects.toThrow('an event id has 1 to 128 characters')
  })
})
