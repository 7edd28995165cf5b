// What the cases of the warehouse share: a project whose raw topic is written straight, loaders as processes, and the
// judgement: the views and the tables beside the events show exactly what was acknowledged.
import { join } from 'node:path'
import { rawTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import type { Admin, Kafka } from '@millrace/kafka'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningService } from '@millrace/local-stack/supervisor'
import { createSilentLogger } from '@millrace/observability'
import { migrate } from '@millrace/operations/migrate'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { eventually } from '../../eventually.ts'
import { openTestKafka } from '../../test-kafka.ts'
import { unique, uniqueProject } from '../../unique.ts'
import { createProjectTopics } from '../../worker.ts'
import { lagOf } from '../check-project.ts'
import type { CaseContext } from '../fault-case.ts'
import { judge } from '../oracle.ts'
import type { Verdict } from '../oracle.ts'
import { readFacts } from './read-facts.ts'
import { compareFacts, expectedFacts, makeEvent, toRecord } from './world.ts'
import type { MadeEvent } from './world.ts'

export interface LoaderOptions {
  /** Consumer group; one of its own by default. */
  readonly group?: string
  readonly env?: Readonly<Record<string, string>>
  /** Settings of the n-th process, from 1. */
  readonly startEnv?: (start: number) => Readonly<Record<string, string>>
}

export interface RunningLoader {
  readonly service: RunningService
  readonly group: string
  /** Ends it for good. */
  end(): Promise<void>
}

export interface WarehouseRig extends AsyncDisposable {
  readonly project: string
  readonly topic: string
  readonly admin: Admin
  readonly clickhouse: Clickhouse
  /** Starts a loader: those of different groups own every partition twice. */
  startLoader(options?: LoaderOptions): Promise<RunningLoader>
  /** Writes `count` more events to one partition and resolves when all are acknowledged. */
  write(count: number, partition: number, change?: (event: MadeEvent) => MadeEvent): Promise<void>
  /** Begins to write events all the time, one in ten of them twice, with garbage between; returns what ends it. */
  keepWriting(ratePerSecond?: number): () => Promise<void>
  /** Records acknowledged so far, copies included. */
  acked(): number
  /** Resolves when that many more records are acknowledged. */
  moves(records: number): Promise<void>
  /** Resolves when `group` has committed the end of the log. */
  caughtUp(group: string, timeoutMs?: number): Promise<void>
  /** Waits for `groups` and compares what is there with every event that was acknowledged, but for `without`. */
  judge(groups: readonly string[], options?: JudgeOptions): Promise<Verdict>
}

export interface JudgeOptions {
  /** Events that must not be there. */
  readonly without?: ReadonlySet<string>
  readonly timeoutMs?: number
}

const partitions = 4
const quickEnv = {
  MILLRACE_TEST: '1',
  RECORD_RETRY_MS: '100ms',
  SESSION_TIMEOUT_MS: '6s',
  HEARTBEAT_INTERVAL_MS: '1s',
  FLUSH_AFTER_MS: '100',
  BATCH_SIZE: '1000',
  INSERT_TIMEOUT_MS: '10s'
}

/** Prepares a case; `clickhouseUrl` replaces the server of the stack, for its tables and for the loaders. */
export async function openWarehouseRig(
  context: CaseContext,
  { clickhouseUrl = context.stack.endpoints.CLICKHOUSE_URL }: { readonly clickhouseUrl?: string } = {}
): Promise<WarehouseRig> {
  const { endpoints } = context.stack
  const log = createSilentLogger()
  await using opening = new AsyncDisposableStack()
  await migrate({ databaseDirectUrl: endpoints.DATABASE_DIRECT_URL, clickhouseUrl, log })
  const clickhouse = opening.use(await openClickhouse({ url: clickhouseUrl, log, applicationName: 'test' }))
  const kafka = opening.use(await openTestKafka(endpoints))
  const admin = await kafka.admin()
  const project = uniqueProject('warehouse')
  await createProjectTopics(admin, project)
  const topic = rawTopic(project)
  const writer = await openWriter(kafka, topic)
  opening.use(writer)
  const planted = context.planted === undefined ? {} : { MILLRACE_PLANTED_BUG: context.planted }
  let loaders = 0
  const caughtUp = async (group: string, timeoutMs = 120_000): Promise<void> => {
    const isThere = async (): Promise<boolean> => (await lagOf(admin, group, topic).catch(() => 1n)) === 0n
    await eventually(`${group} at the end of ${topic}`, isThere, { timeoutMs, intervalMs: 200 })
  }
  const opened = opening.move()
  return {
    project,
    topic,
    admin,
    clickhouse,
    ...writer,
    caughtUp,
    async moves(records) {
      const goal = writer.acked() + records
      await eventually(`${records} more records`, () => writer.acked() >= goal, { timeoutMs: 60_000 })
    },
    async startLoader({ group = unique('load'), env = {}, startEnv } = {}) {
      const services = await startServices({
        endpoints: { ...endpoints, CLICKHOUSE_URL: clickhouseUrl },
        pepper: 'test',
        folder: join(context.folder, `loader-${++loaders}`),
        ports: 'ephemeral',
        only: ['loader'],
        env: { ...quickEnv, PROJECTS: project, CONSUMER_GROUP: group, ...planted, ...env },
        ...(startEnv === undefined ? {} : { startEnv: (_name: string, start: number) => startEnv(start) })
      })
      opened.use(services)
      return { service: services.service('loader'), group, end: async () => await services[Symbol.asyncDispose]() }
    },
    async judge(groups, { without = new Set<string>(), timeoutMs } = {}) {
      await writer.stop()
      for (const group of groups) await caughtUp(group, timeoutMs)
      const expected = expectedFacts(writer.events().filter(({ eventId }) => !without.has(eventId)))
      const gaps = compareFacts(expected, await readFacts(clickhouse, project))
      const { figures } = judge({ ledger: [], log: [], letters: [], sinks: [] })
      return {
        violations: gaps.map(({ problem, examples }) => ({
          invariant: 'INV-3' as const,
          problem,
          count: examples.length,
          examples: examples.slice(0, 10)
        })),
        figures: { ...figures, acked: writer.acked(), logged: expected.events.size }
      }
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

interface Writer extends AsyncDisposable, Pick<WarehouseRig, 'write' | 'keepWriting' | 'acked'> {
  /** Each acknowledged event once. */
  events(): readonly MadeEvent[]
  stop(): Promise<void>
}

const garbage = { key: null, value: Buffer.from('no event') }

async function openWriter(kafka: Kafka, topic: string): Promise<Writer> {
  const producer = await kafka.producer()
  const events = new Map<string, MadeEvent>()
  let next = 0
  let acked = 0
  let running = false
  let turns: Promise<void> = Promise.resolve()
  const produce = async (made: readonly MadeEvent[], onPartition?: number): Promise<void> => {
    const records = made.map((event) => toRecord(event, partitions))
    const placed = records.map((record) => (onPartition === undefined ? record : { ...record, partition: onPartition }))
    const outcomes = await producer.produce(topic, placed)
    for (const [index, { kind }] of outcomes.entries()) {
      const event = made[index]
      if (kind !== 'acked' || event === undefined) continue
      acked++
      events.set(event.eventId, event)
    }
  }
  const stop = async (): Promise<void> => {
    running = false
    await turns
  }
  return {
    acked: () => acked,
    events: () => [...events.values()],
    stop,
    async write(count, partition, change = (event) => event) {
      const made = Array.from({ length: count }, () => change(makeEvent(next++)))
      for (let from = 0; from < made.length; from += 1_000) await produce(made.slice(from, from + 1_000), partition)
    },
    keepWriting(ratePerSecond = 300) {
      running = true
      turns = (async () => {
        while (running) {
          const made = Array.from({ length: Math.max(1, ratePerSecond / 20) }, () => makeEvent(next++))
          const copies = made
            .filter(({ properties: { n } }) => n % 10 === 0 && n >= 1_000)
            .map(({ properties: { n } }) => makeEvent(n - 1_000))
          await produce([...made, ...copies.filter(({ eventId }) => events.has(eventId))])
          await producer.produce(topic, [{ ...garbage, partition: next % partitions }])
          await systemClock.sleep(50)
        }
      })()
      return stop
    },
    async [Symbol.asyncDispose]() {
      await stop()
      await producer[Symbol.asyncDispose]()
    }
  }
}

/** A dependency that is away is a wait, not an end. */
export function ofOneProcess(verdict: Verdict, starts: number): Verdict {
  if (starts === 1) return verdict
  const problem = 'the loader ended instead of waiting'
  const violation = { invariant: 'progress', problem, count: 1, examples: [`${starts} processes`] } as const
  return { ...verdict, violations: [...verdict.violations, violation] }
}

/** Value of a series of a loader; 0 when it has none or does not answer. */
export async function metricOf(service: RunningService, name: string, labels = ''): Promise<number> {
  const text = await fetch(`${service.url}/metrics`, { signal: AbortSignal.timeout(3_000) })
    .then((response) => response.text())
    .catch(() => '')
  const line = text.split('\n').find((each) => each.startsWith(`${name}${labels} `))
  return Number(line?.split(' ').at(-1) ?? 0)
}
