import { mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rawTopic } from '@millrace/contracts'
import type { Admin, Kafka, ProduceRecord, Producer } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { catRange } from '@millrace/operations/archive-rows'
import { verifyArchive } from '@millrace/operations/archive-verify'
import type { ArchiveReport } from '@millrace/operations/archive-verify'
import { migrate } from '@millrace/operations/migrate'
import { readArchiveFile } from '@millrace/stores/archive-file'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import type { ArchiveManifest } from '@millrace/stores/archive-manifest'
import { contentCrc } from '@millrace/stores/archive-rows'
import type { ArchiveRow } from '@millrace/stores/archive-rows'
import { openObjectStore } from '@millrace/stores/object-store'
import type { ObjectStore } from '@millrace/stores/object-store'
import { openPostgres } from '@millrace/stores/postgres'
import { eventually } from '@millrace/testkit/eventually'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { uniqueProject } from '@millrace/testkit/unique'
import { createProjectTopics, startWorker } from '@millrace/testkit/worker'
import { removeOrphans } from '../src/upkeep.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
let kafka: Kafka
let admin: Admin
let producer: Producer
let manifest: ArchiveManifest
let objects: ObjectStore
let env: Record<string, string>
let folder: string

beforeAll(async () => {
  const databases = stack.use(await openTestDatabases('archive'))
  const { databaseUrl, clickhouseUrl } = databases
  await migrate({ databaseDirectUrl: databaseUrl, clickhouseUrl, log })
  kafka = stack.use(await openTestKafka())
  admin = stack.use(await kafka.admin())
  producer = stack.use(await kafka.producer())
  const postgres = stack.use(await openPostgres({ url: databaseUrl, poolSize: 2, log, name: 'test' }))
  manifest = createArchiveManifest(postgres)
  folder = await mkdtemp(join(tmpdir(), 'millrace-archive-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const url = pathToFileURL(join(folder, 'objects')).href
  objects = stack.use(openObjectStore({ url, clock: systemClock, timeoutMs: 5_000 }))
  env = {
    DATABASE_URL: databaseUrl,
    OBJECT_STORE_URL: url,
    SPOOL_DIR: join(folder, 'spool'),
    FILE_AFTER_MS: '300',
    SMALL_BYTES: '0',
    TAIL_AFTER_MS: '300'
  }
})
afterAll(() => stack.disposeAsync())

const receivedAt = new Date().toISOString()
const event = (index: number): ProduceRecord => ({
  partition: index % 4,
  key: `e-${index}`,
  value: Buffer.from(
    JSON.stringify({ eventId: `e-${index}`, eventType: 'view', userId: 'u', receivedAt, properties: { index } })
  )
})

async function produce(project: string, records: readonly ProduceRecord[]): Promise<void> {
  const outcomes = await producer.produce(rawTopic(project), records)
  expect(outcomes.filter(({ kind }) => kind !== 'acked')).toEqual([])
}

async function eventuallyArchived(project: string): Promise<void> {
  const topic = rawTopic(project)
  const ends = await admin.ranges(topic)
  await eventually(
    `${topic} is archived`,
    async () => {
      const heads = new Map((await manifest.heads(topic)).map(({ partition, position }) => [partition, position]))
      return ends.every(({ partition, end }) => end === 0n || heads.get(partition) === end)
    },
    { timeoutMs: 30_000, intervalMs: 100 }
  )
}

/** The rows of every file, after its size, counts and checksum were compared with the manifest. */
async function archivedRows(project: string): Promise<ArchiveRow[]> {
  const all: ArchiveRow[] = []
  for (const file of await manifest.files({ topic: rawTopic(project) })) {
    const bytes = await objects.get(file.key)
    const rows: ArchiveRow[] = []
    for await (const group of readArchiveFile(bytes)) rows.push(...group)
    expect([bytes.byteLength, rows.length, contentCrc(rows)]).toEqual([file.fileBytes, file.rows, file.contentCrc])
    all.push(...rows)
  }
  return all
}

async function verify(project: string): Promise<ArchiveReport> {
  const log = { admin, client: kafka.consumers, clock: systemClock }
  return await verifyArchive({ manifest, objects, log }, { topic: rawTopic(project) })
}

const place = ({ partition, offset }: { partition: number; offset: bigint }): string => `${partition}:${offset}`

describe('archiver', () => {
  it('archives every record once with its bytes, events or not, and the columns of events', async () => {
    const project = uniqueProject('archive')
    await createProjectTopics(admin, project)
    const events = Array.from({ length: 2_000 }, (_, index) => event(index))
    const odd: ProduceRecord[] = [
      { partition: 1, key: null, value: null },
      { partition: 1, key: Buffer.from([0xff, 0]), value: Buffer.from([0xc3, 0x28, 0]) },
      { partition: 1, key: '', value: Buffer.alloc(0), headers: { a: 'text', b: Buffer.from([0xff]) } },
      { partition: 1, key: 'k', value: Buffer.from('[1]') }
    ]
    await produce(project, [...events, ...odd])
    await using _archiver = await startWorker({ service: 'archiver', project, env: { ...env, GROUP_ROWS: '150' } })
    await eventuallyArchived(project)
    const rows = await archivedRows(project)
    expect(new Set(rows.map(place)).size).toBe(2_004)
    expect(rows).toHaveLength(2_004)
    const sample = rows.find(({ event: found }) => found?.eventId === 'e-7')
    expect(sample).toMatchObject({
      topic: rawTopic(project),
      partition: 3,
      headers: '{}',
      event: { eventType: 'view', userId: 'u', anonymousId: '', receivedAt: Date.parse(receivedAt) }
    })
    expect(Buffer.from(sample?.value ?? [])).toEqual(events[7]?.value)
    const others = rows.filter(({ event: found }) => found === undefined)
    expect(
      others.map(({ key, value, headers }) => [key && Buffer.from(key), value && Buffer.from(value), headers])
    ).toEqual([
      [null, null, '{}'],
      [Buffer.from([0xff, 0]), Buffer.from([0xc3, 0x28, 0]), '{}'],
      [Buffer.alloc(0), Buffer.alloc(0), '{"a":"text","b":{"base64":"/w=="}}'],
      [Buffer.from('k'), Buffer.from('[1]'), '{}']
    ])
    expect(await readdir(join(folder, 'spool'))).toEqual([])

    const clean = await verify(project)
    expect(clean).toMatchObject({
      partitions: 4,
      rows: 2_004,
      holes: 0,
      comparedRows: 2_004,
      orphans: [],
      problems: []
    })
    const lines = await Array.fromAsync(
      catRange({ manifest, objects }, { topic: rawTopic(project), partition: 3, from: 1n, to: 1n })
    )
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({ partition: 3, offset: 1, key: 'e-7', eventId: 'e-7', headers: {} })
    ])
  })

  it('says which file is missing, cut, changed or foreign, and which object is an orphan', async () => {
    const project = uniqueProject('archive')
    await createProjectTopics(admin, project)
    await produce(
      project,
      Array.from({ length: 400 }, (_, index) => event(index))
    )
    await using _archiver = await startWorker({ service: 'archiver', project, env })
    await eventuallyArchived(project)
    const [missing, cut, changed, kept] = (await manifest.files({ topic: rawTopic(project) })).map(({ key }) => key)
    const at = (key = ''): string => join(folder, 'objects', key)
    await rm(at(missing))
    await truncate(at(cut), 100)
    const bytes = await readFile(at(changed))
    bytes[50] = (bytes[50] ?? 0) ^ 1
    await writeFile(at(changed), bytes)
    const orphan = kept?.replace(/[0-9a-f]{64}/, 'a'.repeat(64)) ?? ''
    await writeFile(at(orphan), 'x')
    const foreign = `archive/${project}/notes.txt`
    await writeFile(at(foreign), 'x')
    const report = await verify(project)
    expect(report.problems.map(({ kind, where }) => [kind, where])).toEqual([
      ['foreign', foreign],
      ['missing', missing],
      ['truncated', cut],
      ['changed', changed]
    ])
    expect(report.orphans).toEqual([orphan])
    const keptMs = 3_600_000
    expect(await removeOrphans({ objects, manifest, clock: systemClock, keptMs })).toBe(0)
    const later = { now: () => Date.now() + keptMs + 1_000 }
    expect(await removeOrphans({ objects, manifest, clock: { ...systemClock, ...later }, keptMs })).toBe(1)
    expect((await verify(project)).orphans).toEqual([])
    await rm(at(foreign))
  })
})
