// One life of an archiver for the fault suite, cheap enough to be ended a thousand times: the archive, its encoding thread,
// its files in the making, its manifest in PostgreSQL and its object store are the service's own; in place of Kafka stands
// a log that is made up as it is read. Says `ready` when everything is loaded, then waits for one line with
// the step at whose n-th passage it dies.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { systemClock } from '@millrace/kernel'
import { partitionKey } from '@millrace/kafka'
import type { TopicPartition } from '@millrace/kafka'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import { openObjectStore } from '@millrace/stores/object-store'
import { openPostgres } from '@millrace/stores/postgres'
import { madeRecords } from '@millrace/testkit/faults/archive/made-log'
import { createRandom } from '@millrace/testkit/random'
import { createArchive } from '../src/archive.ts'
import { createCloseRange } from '../src/close-range.ts'
import { startEncoder } from '../src/encoder.ts'
import { headsOf } from '../src/heads.ts'
import { archiverMetrics } from '../src/metrics.ts'

const { DATABASE_URL: url = '', OBJECT_STORE_URL: objectsUrl = '', SPOOL_DIR: folder = '' } = process.env
const { TOPIC: topic = '', PARTITIONS = '4', PLANTED = '' } = process.env
const partitions: TopicPartition[] = Array.from({ length: Number(PARTITIONS) }, (_, partition) => ({
  topic,
  partition
}))
/** A range is closed after some batches, and again and again within a life. */
const limits = { fileBytes: 24_000, flushAfterMs: 40, smallBytes: 0, tailAfterMs: 80, totalBytes: 400_000 }

const clock = systemClock
const postgres = await openPostgres({ url, poolSize: 2, log: createSilentLogger(), name: 'one-life' })
await postgres.ping()
const objects = openObjectStore({ url: objectsUrl, clock, timeoutMs: 10_000 })
const encoder = startEncoder({ folder, groupRows: 100, groupBytes: 1024 ** 2 })
process.stdout.write('ready\n')
const [line] = (await once(createInterface(process.stdin), 'line')) as [string]
const { step, hit, seed } = JSON.parse(line) as { step: string; hit: number; seed: string }

/** A signal to oneself is there before the call returns: nothing behind the point happens. */
function die(): void {
  process.kill(process.pid, 'SIGKILL')
}
const passed = { times: 0 }
const faults = {
  at(label: string): void {
    if (label === step && ++passed.times === hit) die()
  }
}
const random = createRandom(seed)
const manifest = createArchiveManifest(postgres, { planted: new Set(PLANTED.split(',')) })
const metrics = bindMetrics(archiverMetrics, createRegistry())
// The made-up log has no beginning and no end.
const admin = {
  ranges: async () => partitions.map((each) => ({ ...each, start: 0n, end: 1n << 60n })),
  offsetsAt: async () => new Map<number, bigint>()
}
const archive = createArchive({
  closeRange: createCloseRange({ manifest, objects, encoder, metrics, clock, faults, logStart: async () => 0n }),
  encoder,
  headsOf: (wanted) => headsOf({ manifest, admin, onOtherLog: () => {} }, wanted),
  limits,
  metrics,
  clock,
  faults
})

const { signal } = new AbortController()
const positions = new Map(await archive.startAt(partitions))
for (;;) {
  for (const each of partitions) {
    const key = partitionKey(each)
    const from = positions.get(key) ?? 0n
    const to = from + BigInt(1 + random.below(60))
    const items = madeRecords(each.partition, from, to)
    const ranges = [{ ...each, from, to, start: 0, count: items.length }]
    const answer = await archive.handle({ items, ranges }, { signal })
    positions.set(key, 'kind' in answer ? (answer.to[0]?.offset ?? from) : to)
  }
  const { readOn, failure } = await archive.closeDue(signal)
  if (failure !== undefined) throw failure
  for (const { offset, ...each } of readOn) positions.set(partitionKey(each), offset)
}
