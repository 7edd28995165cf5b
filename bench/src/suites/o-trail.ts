// O-trail: the trail of an event by HTTP while events come in and all workers are at them, against what it reads: the same
// rows, positions and file asked for one after the other. Ratios by the clock, latency in an open loop.
import { setTimeout as sleep } from 'node:timers/promises'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { kafkaFields, load } from '@millrace/config'
import { rawTopic } from '@millrace/contracts'
import { openKafka } from '@millrace/kafka'
import type { Admin, ProduceRecord, Producer } from '@millrace/kafka'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningServices } from '@millrace/local-stack/supervisor'
import { createSilentLogger } from '@millrace/observability'
import { schemasFolder } from '@millrace/operations/migrate'
import { archiveSink, committedSink, liveStateSink } from '@millrace/operations/sinks'
import type { Sink } from '@millrace/operations/sinks'
import { fileOf, recordedRow, shownRow } from '@millrace/operations/trail-rows'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { migrateClickhouse } from '@millrace/stores/migrations'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import { openBenchStack } from '../bench-stack.ts'
import { createRawRecords } from '../gen/raw-records.ts'
import type { Finding } from '../result.ts'
import { serialVariant } from '../serial-variant.ts'
import { quantile } from '../statistics.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const project = 'bench'
const topic = rawTopic(project)
const partitions = 4
/** Events that are everywhere before the first trail, events a second meanwhile, and trails a second in the open loop. */
const [known, perSecond, trailsPerSecond] = [100_000, 500, 10]
const groups = ['process', 'load', 'record', 'aggregate', 'archive'] as const
const longestMs = 60_000
const adminToken = 'the-token-of-a-benchmark'

export const oTrail: Suite = {
  name: 'o-trail',
  about: 'the trail of an event while all workers are busy, against its single reads one after the other',
  // A request by HTTP is not for nothing: 0.8 is at most 1.25 times the time of its reads.
  comparisons: [{ variant: 'trail', reference: 'single reads', by: 'speed', goal: 0.8, floor: 0.5 }],
  open
}

async function open({ seed, openLoopMs }: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { endpoints, folder, pepper } = stack
  const silent = createSilentLogger()
  const { CLICKHOUSE_URL, DATABASE_URL, REDIS_STATE_URL } = endpoints
  await migrateClickhouse({ url: CLICKHOUSE_URL, folder: new URL('clickhouse/', schemasFolder), log: silent })
  const kafka = opening.use(await openKafka(load(kafkaFields, endpoints), { log: silent }))
  const [admin, producer] = [opening.use(await kafka.admin()), opening.use(await kafka.producer())]
  const clickhouse = opening.use(await openClickhouse({ url: CLICKHOUSE_URL, log: silent, applicationName: 'bench' }))
  const postgres = opening.use(await openPostgres({ url: DATABASE_URL, poolSize: 2, log: silent, name: 'bench' }))
  const redis = opening.use(await openRedis({ url: REDIS_STATE_URL, role: 'state', log: silent, requirePolicy: 'now' }))
  const sampler = opening.use(await kafka.sampler())
  const running = opening.use(
    await startServices({
      endpoints,
      pepper,
      folder,
      only: ['processor', 'loader', 'recorder', 'aggregator', 'archiver', 'ops'],
      ports: 'ephemeral',
      restart: false,
      env: { ADMIN_TOKEN: adminToken, RECONCILE_EVERY_MS: '0' },
      serviceEnv: { archiver: { FILE_AFTER_MS: '1000', SMALL_BYTES: '0', TAIL_AFTER_MS: '1000' } }
    })
  )
  const sinks = [
    ...groups.slice(0, 3).map((group) => committedSink(sampler, group)),
    liveStateSink(createRedisEpochs(redis), 'aggregate'),
    archiveSink(createArchiveManifest(postgres), 'archive')
  ]
  const records = createRawRecords(seed, 'trail', partitions, Date.now())
  const ids = await write(producer, records, known)
  await allPast(admin, sinks)
  log(`${known} events are everywhere`)
  const ended = new AbortController()
  const writing = keepWriting(producer, records, ended.signal)
  opening.defer(async () => {
    ended.abort()
    await writing
  })
  const service = running.service('ops')
  const stores = [stack.pidOf('clickhouse'), stack.pidOf('postgres')]
  const parts: Parts = { ids, url: service.url, clickhouse, postgres, sinks }
  await checkOne(parts)
  const next = idsOf(parts)
  const opened = opening.move()
  return {
    variants: [
      serialVariant(
        'trail',
        () => [...stores, ...[service.pid ?? []].flat()],
        () => trail(parts, next())
      ),
      serialVariant(
        'single reads',
        () => stores,
        () => readSingly(parts, next())
      )
    ],
    otherPids: () => [...stack.pids(), ...pidsOf(running)],
    versions: stack.versions,
    settings: { partitions, known, perSecond, trailsPerSecond, openLoopMs },
    findings: () => latencies(parts, openLoopMs),
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

interface Parts {
  /** Of events that every sink has. */
  readonly ids: readonly string[]
  readonly url: string
  readonly clickhouse: Clickhouse
  readonly postgres: Postgres
  readonly sinks: readonly Sink[]
}

function pidsOf(running: RunningServices): readonly number[] {
  return running.all.flatMap(({ pid }) => pid ?? [])
}

const chunk = 2_000

/** Resolves with the ids of the events. */
async function write(
  producer: Producer,
  next: (count: number) => readonly ProduceRecord[],
  count: number
): Promise<readonly string[]> {
  const ids: string[] = []
  for (let sent = 0; sent < count; sent += chunk) {
    const records = next(Math.min(chunk, count - sent))
    const outcomes = await producer.produce(topic, records)
    if (outcomes.some(({ kind }) => kind !== 'acked')) throw new Error('a record was not stored')
    ids.push(...records.map(({ key }) => String(key)))
  }
  return ids
}

async function keepWriting(
  producer: Producer,
  next: (count: number) => readonly ProduceRecord[],
  signal: AbortSignal
): Promise<void> {
  while (!signal.aborted) {
    await write(producer, next, perSecond / 10)
    await sleep(100)
  }
}

async function allPast(admin: Admin, sinks: readonly Sink[]): Promise<void> {
  const ends = await admin.ranges(topic)
  const giveUpAtMs = performance.now() + longestMs
  for (const { group, positions } of sinks)
    for (;;) {
      const found = await positions(ends)
      if (ends.every(({ partition, end }) => (found.get(`${topic}:${partition}`) ?? 0n) >= end)) break
      if (performance.now() > giveUpAtMs) throw new Error(`${group} is not through`)
      await sleep(200)
    }
}

/** A trail as it is asked for. Throws unless every sink has the event. */
async function trail({ url }: Parts, id: string): Promise<unknown> {
  const headers = { authorization: `Bearer ${adminToken}` }
  const response = await fetch(`${url}/v1/events/${id}/trail?project=${project}`, { headers })
  if (response.status !== 200) throw new Error(`a trail was answered ${response.status}`)
  return await response.json()
}

async function checkOne(parts: Parts): Promise<void> {
  const found = await trail(parts, parts.ids[0] ?? '')
  const { warehouse, recorded, archive, groups: told } = found as Readonly<Record<string, unknown>>
  const isWhole = [warehouse, recorded, archive].every((each) => each !== undefined && each !== null)
  if (!isWhole || !Array.isArray(told) || told.length !== groups.length)
    throw new Error(`a trail lacks something: ${JSON.stringify(found)}`)
}

/** What a trail reads, one after the other. */
async function readSingly({ clickhouse, postgres, sinks }: Parts, eventId: string): Promise<void> {
  const name = { projectId: project, eventId }
  const shown = await shownRow({ clickhouse }, name)
  if (shown === undefined) throw new Error(`${eventId} is not in the warehouse`)
  await recordedRow({ postgres, nowMs: Date.now() }, name)
  for (const { positions } of sinks) await positions([shown.place])
  await fileOf({ postgres }, shown.place)
}

/** Ids of events of which nothing is in a cache. */
function idsOf({ ids }: Parts): () => string {
  let at = 0
  return () => ids[(at += step) % ids.length] ?? ''
}

/** Prime, so that neighbours of the log are not asked for together. */
const step = 7_919

/** Trails leave at their times whether or not earlier ones were answered, and their latency counts from there. */
async function latencies(parts: Parts, ms: number): Promise<readonly Finding[]> {
  const startMs = performance.now()
  const count = Math.ceil((trailsPerSecond * ms) / 1_000)
  const times = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const dueMs = startMs + (index * 1_000) / trailsPerSecond
      await sleep(Math.max(0, dueMs - performance.now()))
      await trail(parts, parts.ids[(index * step) % parts.ids.length] ?? '')
      return performance.now() - dueMs
    })
  )
  return [
    { name: 'trail, p50', value: quantile(times, 0.5), unit: 'ms' },
    { name: 'trail, p99', value: quantile(times, 0.99), unit: 'ms', goal: 200, ceiling: 500 },
    { name: 'trails', value: times.length, unit: 'trails' }
  ]
}
