// O-replay: the log read again by the loader beside live events, against the same loader on as many new ones: records a
// second on the clock. How late live events are committed meanwhile is told, too.
import { setTimeout as sleep } from 'node:timers/promises'
import { rawTopic } from '@millrace/contracts'
import { kafkaFields, load } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import type { Admin, ProduceRecord, Producer } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { startServices } from '@millrace/local-stack/supervisor'
import { migrateClickhouse } from '@millrace/stores/migrations'
import { openPostgres } from '@millrace/stores/postgres'
import { schemasFolder } from '@millrace/operations/migrate'
import { startReplay } from '@millrace/operations/replay'
import type { ReplayDeps } from '@millrace/operations/replay'
import { backlogVariant } from '../backlog.ts'
import { openBenchStack } from '../bench-stack.ts'
import { createRawRecords } from '../gen/raw-records.ts'
import type { LoadResult } from '../harness.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const partitions = 4
const perSecond = 40_000
const project = 'bench'
const topic = rawTopic(project)

export const oReplay: Suite = {
  name: 'o-replay',
  about: 'a replay by the loader beside live events against live events alone',
  comparisons: [{ variant: 'replay', reference: 'live', by: 'speed', goal: 0.8, floor: 0.5 }],
  open
}

async function open({ seed }: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { endpoints, folder, pepper } = stack
  const silent = createSilentLogger()
  const { CLICKHOUSE_URL: url, DATABASE_URL } = endpoints
  await migrateClickhouse({ url, folder: new URL('clickhouse/', schemasFolder), log: silent })
  const kafka = opening.use(await openKafka(load(kafkaFields, endpoints), { log: silent }))
  const [admin, producer] = [opening.use(await kafka.admin()), opening.use(await kafka.producer())]
  const postgres = opening.use(await openPostgres({ url: DATABASE_URL, poolSize: 2, log: silent, name: 'bench' }))
  const running = opening.use(
    await startServices({
      endpoints,
      pepper,
      folder,
      only: ['loader'],
      ports: 'ephemeral',
      restart: false,
      env: { REPLAY_CHECK_MS: '100' }
    })
  )
  const service = running.service('loader')
  const next = createRawRecords(seed, 'load', partitions, Date.now())
  const engine = stack.pidOf('clickhouse')
  const pids = (): readonly number[] => (service.pid === undefined ? [engine] : [service.pid, engine])
  const lags: number[] = []
  const deps: ReplayDeps = { postgres, admin, clock: systemClock, actor: 'bench', holder: 'bench' }
  const opened = opening.move()
  return {
    variants: [
      backlogVariant({
        name: 'live',
        pids,
        producer,
        topic,
        records: next,
        perSecond,
        done: () => committedOf(admin, 'load'),
        hold: { stop: () => service.kill('SIGSTOP'), go: () => service.kill('SIGCONT') }
      }),
      { name: 'replay', pids, drive: (ms) => replay(deps, { admin, producer, next, ms, lags }) }
    ],
    otherPids: () => stack.pids(),
    versions: stack.versions,
    settings: { partitions, livePerSecond: liveChunk * 10 },
    findings: async () => [
      { name: 'live lag p95 beside a replay', value: p95(lags), unit: 'ms', goal: 2_000, ceiling: 60_000 }
    ],
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

interface Work {
  readonly admin: Admin
  readonly producer: Producer
  readonly next: (count: number) => readonly ProduceRecord[]
  readonly ms: number
  /** Milliseconds from the acknowledgement of a live event to the commit behind it. */
  readonly lags: number[]
}

/** Reads the beginning of the log again, about as much as a window takes, while live events come in. */
async function replay(deps: ReplayDeps, { admin, producer, next, ms, lags }: Work): Promise<LoadResult> {
  const each = Math.round((perSecond * ms) / 1_000 / partitions)
  const ranges = await admin.ranges(topic)
  const parts = ranges.map(({ partition, end }) => ({ partition, from: 0n, to: end < each ? end : BigInt(each) }))
  const records = parts.reduce((sum, { to }) => sum + to, 0n)
  const plan = {
    projectId: project,
    kind: 'load',
    group: 'load',
    topic,
    mode: 'beside',
    effect: 'reads',
    consequence: '',
    source: 'bench',
    parts: parts.map((part) => ({ ...part, fromMs: undefined, toMs: undefined })),
    records,
    refusals: []
  } as const
  const live = startLive(admin, producer, next, lags)
  await startReplay(deps, plan, { mode: 'beside', perSecond: undefined, reason: 'bench' })
  const begunMs = performance.now()
  while ((await committedOf(admin, 'load-replay')) < Number(records)) await sleep(20)
  const elapsedMs = performance.now() - begunMs
  await live.stop()
  return { events: Number(records), failures: 0, latencyMs: { p50: 0, p99: 0 }, elapsedMs }
}

/** Events every tenth of a second. */
const liveChunk = 50

function startLive(admin: Admin, producer: Producer, next: Work['next'], lags: number[]): { stop(): Promise<void> } {
  let running = true
  const waiting: { readonly partition: number; readonly offset: bigint; readonly atMs: number }[] = []
  const write = async (): Promise<void> => {
    while (running) {
      const made = next(liveChunk)
      const outcomes = await producer.produce(topic, made)
      const [first] = outcomes
      const partition = made[0]?.partition ?? 0
      if (first?.kind === 'acked') waiting.push({ partition, offset: first.offset, atMs: performance.now() })
      await sleep(100)
    }
  }
  const watch = async (): Promise<void> => {
    while (running || waiting.length > 0) {
      const committed = await admin.groupOffsets('load', topic)
      const nowMs = performance.now()
      for (let index = waiting.length - 1; index >= 0; index--) {
        const one = waiting[index]
        if (one === undefined || (committed.get(one.partition) ?? 0n) <= one.offset) continue
        lags.push(nowMs - one.atMs)
        waiting.splice(index, 1)
      }
      await sleep(50)
    }
  }
  const both = Promise.all([write(), watch()])
  return {
    async stop() {
      running = false
      await both
    }
  }
}

async function committedOf(admin: Admin, group: string): Promise<number> {
  const offsets = await admin.groupOffsets(group, topic)
  return [...offsets.values()].reduce((sum, offset) => sum + Math.max(0, Number(offset)), 0)
}

function p95(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return Math.round(sorted[Math.floor(sorted.length * 0.95)] ?? 0)
}
