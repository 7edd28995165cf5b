// O-replay: the log read again by the loader beside live events, against the same loader on as many new ones: records a
// second on the clock. Then a million records at once: how long that takes, and how late live events are committed meanwhile.
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
import { backlogVariant, committedOf, lengthOf } from '../backlog.ts'
import { openBenchStack } from '../bench-stack.ts'
import { createRawRecords } from '../gen/raw-records.ts'
import type { LoadResult, Windows } from '../harness.ts'
import type { Finding } from '../result.ts'
import { quantile } from '../statistics.ts'
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
  const deps: ReplayDeps = { postgres, admin, clock: systemClock, actor: 'bench', holder: 'bench' }
  const live = committedOf(admin, 'load', topic)
  const work: Work = { admin, producer, next }
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
        done: live,
        hold: { stop: () => service.kill('SIGSTOP'), go: () => service.kill('SIGCONT') }
      }),
      { name: 'replay', pids, drive: async (ms) => (await replay(deps, work, (perSecond * ms) / 1_000)).result }
    ],
    otherPids: () => stack.pids(),
    versions: stack.versions,
    settings: { partitions, livePerSecond: liveChunk * 10 },
    findings: async (windows) => {
      await fillUp(work, live)
      return toFindings(windows, await replay(deps, work, million))
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

interface Work {
  readonly admin: Admin
  readonly producer: Producer
  readonly next: (count: number) => readonly ProduceRecord[]
}

interface Replayed {
  readonly result: LoadResult
  /** Milliseconds from the acknowledgement of a live event to the commit behind it. */
  readonly lagsMs: readonly number[]
}

const million = 1_000_000
const chunk = 2_000

/** Writes what the log lacks of a million records, and waits until live reading is through. */
async function fillUp({ admin, producer, next }: Work, done: () => Promise<number>): Promise<void> {
  const length = lengthOf(admin, topic)
  for (let there = await length(); there < million; there += chunk) {
    const outcomes = await producer.produce(topic, next(chunk))
    const failed = outcomes.find(({ kind }) => kind !== 'acked')
    if (failed !== undefined) throw new Error(`a record was not stored: ${JSON.stringify(failed)}`)
  }
  const end = await length()
  while ((await done()) < end) await sleep(100)
}

function toFindings(windows: Windows, { result, lagsMs }: Replayed): readonly Finding[] {
  const speeds = (windows.get('live') ?? []).map(({ events, elapsedMs }) => events / elapsedMs)
  const liveMs = result.events / quantile(speeds, 0.5)
  const ratio = (result.elapsedMs ?? 0) / liveMs
  return [
    {
      name: 'time of a replay of 1,000,000 records, by that of as many live ones',
      value: Math.round(ratio * 100) / 100,
      unit: 'times',
      goal: 1.25,
      ceiling: 2
    },
    {
      name: 'live lag p95 beside a replay',
      value: Math.round(quantile(lagsMs, 0.95)),
      unit: 'ms',
      goal: 2_000,
      ceiling: 60_000
    }
  ]
}

/** Reads the first `count` records of the log again while live events come in. */
async function replay(deps: ReplayDeps, work: Work, count: number): Promise<Replayed> {
  const { admin } = work
  const each = Math.round(count / partitions)
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
  const lagsMs: number[] = []
  const live = startLive(work, lagsMs)
  const done = committedOf(admin, 'load-replay', topic)
  await startReplay(deps, plan, { mode: 'beside', perSecond: undefined, reason: 'bench' })
  const begunMs = performance.now()
  while ((await done()) < Number(records)) await sleep(20)
  const elapsedMs = performance.now() - begunMs
  await live.stop()
  return { result: { events: Number(records), failures: 0, latencyMs: { p50: 0, p99: 0 }, elapsedMs }, lagsMs }
}

/** Events every tenth of a second. */
const liveChunk = 50

function startLive({ admin, producer, next }: Work, lagsMs: number[]): { stop(): Promise<void> } {
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
        lagsMs.push(nowMs - one.atMs)
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
