// One look at all partitions and all groups: a handful of requests, whatever the number of topics.
import { parseTopic } from '@millrace/contracts'
import type { LogSampler, PartitionHead } from '@millrace/kafka'
import { toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Sink } from './sinks.ts'

/** Where one group stands. */
export interface GroupSample {
  readonly group: string
  readonly reads: (topic: string) => boolean
  /** By `partitionKey`; absent: the start of the log. */
  readonly positions: ReadonlyMap<string, bigint>
}

export interface LagSample {
  readonly atMs: number
  readonly heads: readonly PartitionHead[]
  readonly groups: readonly GroupSample[]
  /** Groups that could not be asked, and why. The others are told all the same. */
  readonly failed: readonly { readonly group: string; readonly error: Error }[]
}

export interface SampleDeps {
  readonly sampler: Pick<LogSampler, 'heads'>
  readonly sinks: readonly Sink[]
  readonly clock: Clock
}

/** Samples the raw and redrive topics of all projects. Throws PIPE_KAFKA_UNAVAILABLE when nobody tells the heads. */
export async function sampleLag({ sampler, sinks, clock }: SampleDeps): Promise<LagSample> {
  const atMs = clock.now()
  const heads = await sampler.heads(isConsumed)
  const byTopic = [...Map.groupBy(heads, ({ topic }) => topic)]
  const groups: GroupSample[] = []
  const failed: { group: string; error: Error }[] = []
  await Promise.all(
    sinks.map(async ({ group, reads, positions }) => {
      try {
        groups.push({
          group,
          reads,
          positions: await positions(byTopic.flatMap(([topic, own]) => (reads(topic) ? own : [])))
        })
      } catch (error) {
        failed.push({ group, error: toError(error) })
      }
    })
  )
  const byGroup = (a: { group: string }, b: { group: string }): number => (a.group < b.group ? -1 : 1)
  return { atMs, heads, groups: groups.toSorted(byGroup), failed: failed.toSorted(byGroup) }
}

function isConsumed(topic: string): boolean {
  const family = parseTopic(topic)?.family
  return family === 'raw' || family === 'redrive'
}
