// What the cases of the archive share: a project whose raw topic is written straight, archivers as processes, and the
// judgement: `archive verify` finds nothing, and the archive holds exactly what was acknowledged.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { rawTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import type { Admin, Kafka, ProduceRecord } from '@millrace/kafka'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningService } from '@millrace/local-stack/supervisor'
import { createSilentLogger } from '@millrace/observability'
import { verifyArchive } from '@millrace/operations/archive-verify'
import { migrate } from '@millrace/operations/migrate'
import { readArchiveFile } from '@millrace/stores/archive-file'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import type { ArchiveManifest } from '@millrace/stores/archive-manifest'
import { openObjectStore } from '@millrace/stores/object-store'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { eventually } from '../../eventually.ts'
import { openTestKafka } from '../../test-kafka.ts'
import { unique, uniqueProject } from '../../unique.ts'
import { createProjectTopics } from '../../worker.ts'
import type { CaseContext } from '../fault-case.ts'
import { broken, judge } from '../oracle.ts'
import type { Verdict, Violation } from '../oracle.ts'
import { readOtherwise } from './other-readers.ts'

export interface ArchiverOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Settings of the n-th process, from 1. */
  readonly startEnv?: (start: number) => Readonly<Record<string, string>>
}

export interface ArchiveRig extends AsyncDisposable {
  readonly project: string
  readonly topic: string
  /** Where the archivers put files. */
  readonly objectStoreUrl: string
  readonly postgres: Postgres
  readonly manifest: ArchiveManifest
  /** Starts an archiver in a consumer group of its own: two of them own every partition twice. */
  startArchiver(options?: ArchiverOptions): Promise<RunningService>
  /** Records acknowledged so far, and their event ids. */
  acked(): number
  ids(): ReadonlySet<string>
  /** Position of the archive by partition. */
  heads(): Promise<ReadonlyMap<number, bigint>>
  /** Resolves when that many more records are acknowledged. */
  moves(records: number): Promise<void>
  /** Value of a series of an archiver; 0 when it has none or does not answer. */
  metric(service: RunningService, name: string, labels?: string): Promise<number>
  /** Ends the load, waits until everything is archived, and judges. */
  judge(options?: { readonly timeoutMs?: number }): Promise<Verdict>
}

export interface RigOptions {
  /** Replaces the folder of the case. */
  readonly objectStoreUrl?: string
  /** The store as this process sees it, when the archivers go through something that hurts. */
  readonly directUrl?: string
  readonly ratePerSecond?: number
}

const partitions = 4
/** Small files, closed often: more of the steps that are hurt. */
const quickEnv = {
  MILLRACE_TEST: '1',
  SESSION_TIMEOUT_MS: '6s',
  HEARTBEAT_INTERVAL_MS: '1s',
  FILE_AFTER_MS: '200',
  SMALL_BYTES: '0',
  TAIL_AFTER_MS: '400',
  GROUP_ROWS: '200'
}

/** Prepares a case: databases, topic, load. */
export async function openArchiveRig(context: CaseContext, options: RigOptions = {}): Promise<ArchiveRig> {
  const { endpoints } = context.stack
  const log = createSilentLogger()
  await using opening = new AsyncDisposableStack()
  const { DATABASE_URL, DATABASE_DIRECT_URL, CLICKHOUSE_URL } = endpoints
  await migrate({ databaseDirectUrl: DATABASE_DIRECT_URL, clickhouseUrl: CLICKHOUSE_URL, log })
  const postgres = opening.use(await openPostgres({ url: DATABASE_URL, poolSize: 2, log, name: 'test' }))
  const kafka = opening.use(await openTestKafka(endpoints))
  const admin = await kafka.admin()
  const project = uniqueProject('archive')
  await createProjectTopics(admin, project)
  const url = options.objectStoreUrl ?? pathToFileURL(join(context.folder, 'objects')).href
  const direct = options.directUrl ?? url
  const objects = opening.use(openObjectStore({ url: direct, clock: systemClock, timeoutMs: 10_000 }))
  const manifest = createArchiveManifest(postgres)
  const topic = rawTopic(project)
  const load = await startLoad(kafka, topic, options.ratePerSecond ?? 1_000)
  opening.defer(load.stop)
  let archivers = 0
  const planted = context.planted === undefined ? {} : { MILLRACE_PLANTED_BUG: context.planted }
  const opened = opening.move()
  return {
    project,
    topic,
    objectStoreUrl: url,
    postgres,
    manifest,
    acked: load.acked,
    ids: load.ids,
    heads: async () => new Map((await manifest.heads(topic)).map(({ partition, position }) => [partition, position])),
    async moves(records) {
      const goal = load.acked() + records
      await eventually(`${records} more records`, () => load.acked() >= goal, { timeoutMs: 60_000 })
    },
    async startArchiver({ env = {}, startEnv } = {}) {
      const folder = join(context.folder, `archiver-${++archivers}`)
      const group = unique('archive')
      const services = await startServices({
        endpoints,
        pepper: 'test',
        folder,
        ports: 'ephemeral',
        only: ['archiver'],
        env: {
          ...quickEnv,
          OBJECT_STORE_URL: url,
          PROJECTS: project,
          SPOOL_DIR: join(folder, 'spool'),
          ...planted,
          ...env
        },
        // The position is the archive's own, so a new group loses nothing and need not wait for a dead member.
        startEnv: (_name, start) => ({ CONSUMER_GROUP: `${group}-${start}`, ...startEnv?.(start) })
      })
      opened.use(services)
      return services.service('archiver')
    },
    metric,
    async judge({ timeoutMs = 60_000 } = {}) {
      await load.stop()
      const settled = await settle(admin, manifest, topic, timeoutMs)
      const deps = { manifest, objects, log: { admin, client: kafka.consumers, clock: systemClock } }
      const report = await verifyArchive(deps, { topic })
      const copies = new Map<string, number>()
      for (const { key } of await manifest.files({ topic }))
        for await (const group of readArchiveFile(await objects.get(key)))
          for (const { event } of group) copies.set(event?.eventId ?? '', (copies.get(event?.eventId ?? '') ?? 0) + 1)
      const files = await manifest.files({ topic })
      const where = { folder: join(context.folder, 'read'), clickhouseUrl: CLICKHOUSE_URL }
      // A file that verify finds broken cannot be read by others either.
      const otherwise = report.problems.length > 0 ? [] : await readOtherwise(files, objects, where)
      const violations: Violation[] = [
        ...broken('progress', 'the archive did not reach the end of the log', settled ? [] : [topic]),
        ...report.problems.flatMap(({ kind, where, detail }) => broken('INV-5', `${kind}: ${detail}`, [where])),
        ...missing(load.ids(), copies),
        ...broken('INV-5', 'a file is read otherwise by others', otherwise)
      ]
      const { figures } = judge({ ledger: [], log: [], letters: [], sinks: [] })
      return { violations, figures: { ...figures, acked: load.acked(), logged: report.rows } }
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

function missing(ids: ReadonlySet<string>, copies: ReadonlyMap<string, number>): Violation[] {
  const lost = [...ids].filter((id) => !copies.has(id))
  const twice = [...copies].filter(([, count]) => count > 1).map(([id]) => id)
  return [
    ...broken('INV-5', 'acknowledged, not in the archive', lost),
    ...broken('INV-5', 'in the archive more than once', twice)
  ]
}

interface Load {
  readonly acked: () => number
  readonly ids: () => ReadonlySet<string>
  readonly stop: () => Promise<void>
}

/** Writes events with ids of their own to every partition until it is stopped. */
async function startLoad(kafka: Kafka, topic: string, ratePerSecond: number): Promise<Load> {
  const producer = await kafka.producer()
  const ids = new Set<string>()
  const receivedAt = new Date().toISOString()
  const perTurn = Math.max(1, Math.round(ratePerSecond / 20))
  let next = 0
  let running = true
  const turns = (async () => {
    while (running) {
      const batch: ProduceRecord[] = Array.from({ length: perTurn }, () => {
        const eventId = `e-${next++}`
        const value = Buffer.from(JSON.stringify({ eventId, eventType: 'view', receivedAt, properties: { n: next } }))
        return { partition: next % partitions, key: eventId, value }
      })
      const outcomes = await producer.produce(topic, batch)
      for (const [index, { kind }] of outcomes.entries()) if (kind === 'acked') ids.add(String(batch[index]?.key))
      await systemClock.sleep(50)
    }
  })()
  return {
    acked: () => ids.size,
    ids: () => ids,
    async stop() {
      if (!running) return
      running = false
      await turns
      await producer[Symbol.asyncDispose]()
    }
  }
}

/** Whether every head reaches the end of its partition within the time. */
async function settle(
  admin: Pick<Admin, 'ranges'>,
  manifest: ArchiveManifest,
  topic: string,
  timeoutMs: number
): Promise<boolean> {
  const ends = await admin.ranges(topic)
  const there = async (): Promise<boolean> => {
    const heads = new Map((await manifest.heads(topic)).map(({ partition, position }) => [partition, position]))
    return ends.every(({ partition, end }) => end === 0n || heads.get(partition) === end)
  }
  return await eventually('the archive to reach the end', there, { timeoutMs, intervalMs: 200 }).catch(() => false)
}

async function metric(service: RunningService, name: string, labels = ''): Promise<number> {
  const text = await fetch(`${service.url}/metrics`, { signal: AbortSignal.timeout(3_000) })
    .then((response) => response.text())
    .catch(() => '')
  const line = text.split('\n').find((each) => each.startsWith(`${name}${labels} `))
  return Number(line?.split(' ').at(-1) ?? 0)
}
