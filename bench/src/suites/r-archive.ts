// R-archive: what the archiver occupies while the ranges of eight partitions fill up to its whole budget and become files,
// and how long its event loop is ever blocked: encoding has a thread of its own.
import { setTimeout as sleep } from 'node:timers/promises'
import { rawTopic } from '@millrace/contracts'
import { kafkaFields, load } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import type { Producer } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { startServices } from '@millrace/local-stack/supervisor'
import type { RunningService } from '@millrace/local-stack/supervisor'
import { openBenchStack } from '../bench-stack.ts'
import { createRawRecords } from '../gen/raw-records.ts'
import type { Finding } from '../result.ts'
import { peakMemoryMiB } from '../proc.ts'
import { seriesOf } from '../series.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const partitions = 8
/** 1.1 GiB: ranges are closed by size, and by the budget of the process. */
const records = 2_000_000
const chunk = 4_000
const everyMs = 250
const longestMs = 300_000

export const rArchive: Suite = {
  name: 'r-archive',
  about: `memory and event loop of the archiver with ${partitions} partitions filling, at its own limits`,
  comparisons: [],
  open
}

async function open({ seed }: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { endpoints, folder, pepper } = stack
  const kafka = opening.use(await openKafka(load(kafkaFields, endpoints), { log: createSilentLogger() }))
  const [admin, producer] = [opening.use(await kafka.admin()), opening.use(await kafka.producer())]
  const topic = rawTopic('bench')
  await admin.growPartitions(topic, partitions)
  const running = opening.use(
    await startServices({ endpoints, pepper, folder, only: ['archiver'], ports: 'ephemeral', restart: false })
  )
  const service = running.service('archiver')
  const opened = opening.move()
  return {
    variants: [],
    otherPids: () => [...stack.pids(), ...(service.pid === undefined ? [] : [service.pid])],
    versions: stack.versions,
    settings: { partitions, records, heldMiB: 256, fileMiB: 128 },
    async findings() {
      const next = createRawRecords(seed, 'archive', partitions, Date.now())
      const ended = new AbortController()
      const watching = watch(service, ended.signal)
      const bytes = await write(producer, topic, next)
      await readAll(service)
      ended.abort()
      const seen = await watching
      if (seen.files < partitions)
        throw new Error(`${seen.files} files were closed: nothing of what is measured happened`)
      return toFindings(seen, bytes, service.pid ?? 0)
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

async function write(producer: Producer, topic: string, next: ReturnType<typeof createRawRecords>): Promise<number> {
  const made = next(40_000)
  let bytes = 0
  for (let at = 0; at < records; at += chunk) {
    const some = made.slice(at % made.length, (at % made.length) + chunk)
    bytes += some.reduce((sum, { value }) => sum + (value?.byteLength ?? 0), 0)
    const outcomes = await producer.produce(topic, some)
    if (outcomes.some(({ kind }) => kind !== 'acked')) throw new Error('a record was not stored')
  }
  return bytes
}

/** Waits until the archiver has taken everything, in files or on their way. */
async function readAll(service: RunningService): Promise<void> {
  const giveUpAt = performance.now() + longestMs
  while (seriesOf(await metricsOf(service), 'analytics_consumer_records_total') < records) {
    if (performance.now() > giveUpAt) throw new Error('the archiver is not through')
    await sleep(everyMs)
  }
  await sleep(5_000)
}

interface Seen {
  readonly blockedMs: number
  readonly heldBytes: number
  readonly files: number
}

/** The largest values of the series; the longest delay of the event loop is of the time since the last look. */
async function watch(service: RunningService, signal: AbortSignal): Promise<Seen> {
  await metricsOf(service)
  let seen: Seen = { blockedMs: 0, heldBytes: 0, files: 0 }
  while (!signal.aborted) {
    await sleep(everyMs)
    const text = await metricsOf(service)
    const blockedMs = seriesOf(text, 'nodejs_eventloop_lag_max_seconds') * 1_000
    const heldBytes = seriesOf(text, 'analytics_archive_held_bytes')
    const files = seriesOf(text, 'analytics_archive_files_total')
    seen = { blockedMs: Math.max(seen.blockedMs, blockedMs), heldBytes: Math.max(seen.heldBytes, heldBytes), files }
  }
  return seen
}

async function metricsOf({ url }: RunningService): Promise<string> {
  return await (await fetch(`${url}/metrics`)).text()
}

function toFindings({ blockedMs, heldBytes, files }: Seen, bytes: number, pid: number): readonly Finding[] {
  return [
    { name: 'peak memory of the archiver', value: peakMemoryMiB(pid), unit: 'MiB', goal: 600, ceiling: 700 },
    { name: 'longest delay of its event loop', value: blockedMs, unit: 'ms', goal: 50, ceiling: 100 },
    { name: 'held at most', value: heldBytes / 1024 ** 2, unit: 'MiB' },
    { name: 'read from the log', value: bytes / 1024 ** 2, unit: 'MiB' },
    { name: 'files', value: files, unit: 'files' }
  ]
}
