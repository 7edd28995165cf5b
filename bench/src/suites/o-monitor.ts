// O-monitor: what a look of the monitor at a thousand partitions and five groups costs, as a share of a core at its own
// interval: the CPU of the operations service in the seconds around a look, less that of as many seconds between two looks.
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
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const [topics, partitions] = [40, 25]
const topicNames = Array.from({ length: topics }, (_, index) => rawTopic(`monitored-${index}`))
const intervalMs = 10_000
const looks = 6
/** Around a look, and as long between two. */
const windowMs = 3_000
const adminToken = 'the-token-of-a-benchmark'

export const oMonitor: Suite = {
  name: 'o-monitor',
  about: `what the monitor costs with ${topics * partitions} partitions and five groups`,
  comparisons: [],
  open
}

async function open(_settings: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
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
  const running = opening.use(
    await startServices({
      endpoints,
      pepper: stack.pepper,
      folder: stack.folder,
      only: ['ops'],
      ports: 'ephemeral',
      restart: false,
      env: { ADMIN_TOKEN: adminToken, MONITOR_EVERY_MS: String(intervalMs), RECONCILE_EVERY_MS: '0' }
    })
  )
  const service = running.service('ops')
  const opened = opening.move()
  return {
    variants: [],
    otherPids: () => [...stack.pids(), ...[service.pid ?? []].flat()],
    versions: stack.versions,
    settings: { topics, partitions: topics * partitions, groups: 5, intervalMs, looks, windowMs },
    async findings() {
      const ended = new AbortController()
      const writing = write(producer, ended.signal)
      await sleep(intervalMs)
      const costs: Cost[] = []
      while (costs.length < looks) costs.push(await costOfLook(service))
      ended.abort()
      await writing
      return toFindings(costs)
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

/** CPU, ms. */
interface Cost {
  readonly around: number
  readonly between: number
}

async function costOfLook({ url, pid = 0 }: RunningService): Promise<Cost> {
  let nextMs = (await lastLookMs(url)) + intervalMs
  while (nextMs - windowMs / 2 < Date.now()) nextMs += intervalMs
  const cpuAt = async (atMs: number): Promise<number> => {
    await sleep(Math.max(0, atMs - Date.now()))
    return treeCpuMs([pid], readProcesses(readUnits()))
  }
  const spent = async (fromMs: number): Promise<number> => {
    const before = await cpuAt(fromMs)
    return (await cpuAt(fromMs + windowMs)) - before
  }
  return { around: await spent(nextMs - windowMs / 2), between: await spent(nextMs + windowMs) }
}

/** Throws when it does not see everything: a look at nothing is cheap. */
async function lastLookMs(url: string): Promise<number> {
  const answer = await fetch(`${url}/v1/lag`, { headers: { authorization: `Bearer ${adminToken}` } })
  const { rows, sampledAt } = (await answer.json()) as { readonly rows: readonly unknown[]; readonly sampledAt: string }
  if (rows.length < 5 * topics * partitions) throw new Error(`the monitor sees ${rows.length} rows`)
  return Date.parse(sampledAt)
}

function toFindings(costs: readonly Cost[]): readonly Finding[] {
  const mean = (of: (cost: Cost) => number): number => costs.reduce((sum, cost) => sum + of(cost), 0) / costs.length
  const look = mean(({ around, between }) => around - between)
  return [
    { name: 'CPU of a look', value: look, unit: 'ms' },
    {
      name: `the monitor, every ${intervalMs / 1_000} s`,
      value: (look / intervalMs) * 100,
      unit: '%',
      goal: 1,
      ceiling: 2
    },
    { name: 'the service between two looks', value: (mean(({ between }) => between) / windowMs) * 100, unit: '%' }
  ]
}
