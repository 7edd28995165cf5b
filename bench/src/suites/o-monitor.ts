// O-monitor: what a look of the monitor at a thousand partitions and five groups costs, as a share of a core at its own
// interval. Two operations services look at the same log, one of them often: what that one spends more it spends on its looks.
import { setTimeout as sleep } from 'node:timers/promises'
import { kafkaFields, load } from '@millrace/config'
import { rawTopic } from '@millrace/contracts'
import { openKafka } from '@millrace/kafka'
import type { Admin, Producer } from '@millrace/kafka'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningService } from '@millrace/local-stack/supervisor'
import { createSilentLogger } from '@millrace/observability'
import { schemasFolder } from '@millrace/operations/migrate'
import { migrateClickhouse } from '@millrace/stores/migrations'
import { openPostgres } from '@millrace/stores/postgres'
import { openBenchStack } from '../bench-stack.ts'
import type { BenchStack } from '../bench-stack.ts'
import { readProcesses, readUnits, treeCpuMs } from '../proc.ts'
import type { Finding } from '../result.ts'
import { seriesOf } from '../series.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const [topics, partitions] = [40, 25]
const topicNames = Array.from({ length: topics }, (_, index) => rawTopic(`monitored-${index}`))
/** Its default, and one at which its looks are most of what the process does. */
const [intervalMs, shortMs] = [10_000, 500]
const settleMs = 12_000
const adminToken = 'the-token-of-a-benchmark'

export const oMonitor: Suite = {
  name: 'o-monitor',
  about: `what the monitor costs with ${topics * partitions} partitions and five groups`,
  comparisons: [],
  open
}

async function open({ openLoopMs }: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { endpoints } = stack
  const silent = createSilentLogger()
  await migrateClickhouse({
    url: endpoints.CLICKHOUSE_URL,
    folder: new URL('clickhouse/', schemasFolder),
    log: silent
  })
  const kafka = opening.use(await openKafka(load(kafkaFields, endpoints), { log: silent }))
  const [admin, producer] = [opening.use(await kafka.admin()), opening.use(await kafka.producer())]
  await makeLog(admin, producer, log)
  await archiveHeads(stack)
  const often = opening.use(await startOps(stack, 'often', shortMs))
  const usual = opening.use(await startOps(stack, 'usual', intervalMs))
  const opened = opening.move()
  return {
    variants: [],
    otherPids: () => [...stack.pids(), often.service.pid ?? [], usual.service.pid ?? []].flat(),
    versions: stack.versions,
    settings: { topics, partitions: topics * partitions, groups: 5, intervalMs, shortMs, openLoopMs },
    async findings() {
      const ended = new AbortController()
      const writing = write(producer, ended.signal)
      await sleep(settleMs)
      const before = [await look(often.service), await look(usual.service)] as const
      await sleep(Math.max(2 * intervalMs, openLoopMs))
      const after = [await look(often.service), await look(usual.service)] as const
      ended.abort()
      await writing
      return toFindings(spent(before[0], after[0]), spent(before[1], after[1]))
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** Topics with records, and groups that are behind in half of them. */
async function makeLog(admin: Admin, producer: Producer, log: (line: string) => void): Promise<void> {
  const config = { 'message.timestamp.type': 'LogAppendTime' }
  // Some at a time: a broker takes a while to make the files of a thousand.
  for (let at = 0; at < topics; at += 4) {
    const some = topicNames.slice(at, at + 4)
    await admin.createTopics(some.map((topic) => ({ topic, partitions, replicationFactor: 1, config })))
  }
  log(`${topics * partitions} partitions`)
  for (const topic of topicNames) {
    await append(producer, topic)
    const offsets = Array.from({ length: partitions }, (_, at) => [at, BigInt(at % 2)] as const)
    for (const group of ['process', 'load', 'record']) await admin.setGroupOffsets(group, topic, new Map(offsets))
  }
}

async function append(producer: Producer, topic: string): Promise<void> {
  const records = Array.from({ length: partitions }, (_, partition) => ({
    partition,
    key: null,
    value: Buffer.from('{}')
  }))
  const outcomes = await producer.produce(topic, records)
  if (outcomes.some(({ kind }) => kind !== 'acked')) throw new Error('a record was not stored')
}

/** Every partition rises now and then, so that there is something to note. */
async function write(producer: Producer, signal: AbortSignal): Promise<void> {
  for (let turn = 0; !signal.aborted; turn++) {
    await append(producer, topicNames[turn % topics] ?? '')
    await sleep(100)
  }
}

async function archiveHeads({ endpoints }: BenchStack): Promise<void> {
  const url = endpoints.DATABASE_DIRECT_URL
  await using postgres = await openPostgres({ url, poolSize: 1, log: createSilentLogger(), name: 'bench' })
  await postgres.query(
    `INSERT INTO archive_heads (topic, "partition", epoch)
     SELECT topic, "partition", 1 FROM unnest($1::text[]) AS topic, generate_series(0, $2::integer - 1) AS "partition"`,
    [topicNames, partitions]
  )
}

async function startOps({ endpoints, pepper, folder }: BenchStack, name: string, everyMs: number) {
  const env = { ADMIN_TOKEN: adminToken, MONITOR_EVERY_MS: String(everyMs), RECONCILE_EVERY_MS: '0' }
  const own = { endpoints, pepper, folder: `${folder}/${name}`, ports: 'ephemeral', restart: false } as const
  const running = await startServices({ ...own, only: ['ops'], env })
  return { service: running.service('ops'), [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}

interface Reading {
  readonly atMs: number
  readonly cpuMs: number
  readonly samples: number
}

/** Throws when it does not see everything: a look at nothing is cheap. */
async function look({ url, pid = 0 }: RunningService): Promise<Reading> {
  const lag = await fetch(`${url}/v1/lag`, { headers: { authorization: `Bearer ${adminToken}` } })
  const { rows } = (await lag.json()) as { readonly rows: readonly unknown[] }
  if (rows.length < 5 * topics * partitions) throw new Error(`the monitor sees ${rows.length} rows`)
  const text = await (await fetch(`${url}/metrics`)).text()
  const cpuMs = treeCpuMs([pid], readProcesses(readUnits()))
  return { atMs: performance.now(), cpuMs, samples: seriesOf(text, 'analytics_monitor_samples_total') }
}

function spent(before: Reading, after: Reading): Reading {
  return {
    atMs: after.atMs - before.atMs,
    cpuMs: after.cpuMs - before.cpuMs,
    samples: after.samples - before.samples
  }
}

function toFindings(often: Reading, usual: Reading): readonly Finding[] {
  const each = (often.cpuMs - (usual.cpuMs * often.atMs) / usual.atMs) / (often.samples - usual.samples)
  return [
    { name: 'CPU of a look', value: each, unit: 'ms' },
    {
      name: `the monitor, every ${intervalMs / 1_000} s`,
      value: (each / intervalMs) * 100,
      unit: '%',
      goal: 1,
      ceiling: 2
    },
    { name: 'the whole service', value: (usual.cpuMs / usual.atMs) * 100, unit: '%' },
    { name: 'looks', value: often.samples, unit: 'samples' }
  ]
}
