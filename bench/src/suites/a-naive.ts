// A-naive and A-redis: what folding is worth, against the same values kept event by event: CPU of the process, CPU of
// Redis, and round trips.
import type { Redis } from '@millrace/stores/redis'
import type { Windows } from '../harness.ts'
import type { Finding } from '../result.ts'
import { quantile } from '../statistics.ts'
import { aggregatorVariant, openStreamParts, referenceVariant, streamRecords } from './aggregator-parts.ts'
import type { StreamParts } from './aggregator-parts.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const partitions = 4
/** More than each takes in a second. */
const perSecond = { aggregator: 60_000, naive: 6_000 }
const naiveFile = 'references/naive-aggregator.ts'

export const aNaive: Suite = {
  name: 'a-naive',
  about: 'the aggregator against commands for each event: its CPU, that of Redis, and round trips',
  comparisons: [
    { variant: 'aggregator', reference: 'naive', goal: 6, floor: 4 },
    // 0.4 and 0.6 of the cost.
    { variant: 'Redis of the aggregator', reference: 'Redis of the naive one', goal: 2.5, floor: 1.67 }
  ],
  open
}

async function open({ seed }: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const parts = opening.use(await openStreamParts(log))
  for (const id of ['fold', 'naive']) await parts.project(id, partitions)
  const aggregators = await parts.aggregators('fold', 1)
  const child = await parts.reference(naiveFile, 'naive')
  const redisPids = (): readonly number[] => [parts.stack.pidOf('redis-state')]
  const fold = {
    projectId: 'fold',
    records: streamRecords(seed, 'fold', partitions),
    perSecond: perSecond.aggregator
  }
  const naive = { projectId: 'naive', records: streamRecords(seed, 'naive', partitions), perSecond: perSecond.naive }
  const reference = { file: naiveFile, child }
  const folding = aggregatorVariant('aggregator', parts, aggregators, fold)
  const opened = opening.move()
  return {
    variants: [
      folding,
      referenceVariant('naive', parts, reference, naive),
      aggregatorVariant('Redis of the aggregator', parts, aggregators, { ...fold, pids: redisPids }),
      referenceVariant('Redis of the naive one', parts, reference, { ...naive, pids: redisPids })
    ],
    otherPids: () => [...parts.stack.pids(), child.pid, ...aggregators.flatMap(({ pid }) => pid ?? [])],
    versions: parts.stack.versions,
    settings: { partitions, bytesPerEvent: 330, codec: 'zstd', 'round trips of the naive one': 3 },
    findings: async (windows) => [
      cost('the process alone', windows, folding.name),
      cost('Redis alone', windows, 'Redis of the aggregator'),
      await roundTrips(parts, folding.drive)
    ],
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** 20,000 events a second of one core are 50 us each; the process and Redis have a core of their own. */
function cost(name: string, windows: Windows, variant: string): Finding {
  const us = (windows.get(variant) ?? []).map(({ cpuMs, events }) => (cpuMs * 1_000) / events)
  return { name: `CPU per event, ${name}`, value: quantile(us, 0.5), unit: 'us', goal: 50, ceiling: 50 }
}

/** Scripts per event: each is one round trip. */
async function roundTrips({ redis }: StreamParts, drive: (ms: number) => Promise<{ readonly events: number }>) {
  const before = await scriptCalls(redis)
  const { events } = await drive(5_000)
  const value = (((await scriptCalls(redis)) - before) * 1_000) / events
  return { name: 'round trips per 1,000 events', value, unit: 'scripts', goal: 20, ceiling: 50 }
}

async function scriptCalls(redis: Redis): Promise<number> {
  const stats = String(await redis.command('INFO', 'commandstats'))
  return Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(stats)?.[1] ?? 0)
}
