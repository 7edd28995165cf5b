// Reads whole topics, from their first record to where they ended when the scan began.
import { withDeadline } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { partitionKey } from '@millrace/kafka'
import type { Admin, ConsumerClient, KafkaRecord } from '@millrace/kafka'
import { unique } from '../unique.ts'

export interface ScanDeps {
  readonly admin: Pick<Admin, 'ranges'>
  readonly client: ConsumerClient
  readonly clock: Clock
  /** Longest scan; PIPE_DEADLINE after it. Default 60 s. */
  readonly timeoutMs?: number
}

/** Every record of `topic` up to its present end, by partition and offset. */
export async function scanTopic(deps: ScanDeps, topic: string): Promise<readonly KafkaRecord[]> {
  return (await scanTopics(deps, [topic])).get(topic) ?? []
}

/** As `scanTopic` for many topics at once; an empty topic is not in the map. */
export async function scanTopics(
  deps: ScanDeps,
  topics: readonly string[]
): Promise<ReadonlyMap<string, readonly KafkaRecord[]>> {
  const open = new Map<string, bigint>()
  for (const range of (await Promise.all(topics.map((topic) => deps.admin.ranges(topic)))).flat()) {
    if (range.end > range.start) open.set(partitionKey(range), range.end)
  }
  if (open.size === 0) return new Map()
  const records: KafkaRecord[] = []
  const finished = Promise.withResolvers<void>()
  const member = await deps.client.join(
    {
      groupId: unique('scan'),
      topics: async () => topics,
      fallback: 'earliest',
      sessionTimeoutMs: 30_000,
      heartbeatIntervalMs: 3_000,
      rebalanceTimeoutMs: 30_000,
      topicRefreshMs: 60_000,
      maxBytesPerPartition: 4 * 1024 * 1024,
      maxWaitMs: 100
    },
    {
      onAssigned: async () => new Map(),
      onRevoking: async () => {},
      onOutOfRange: () => {},
      onFatal: finished.reject,
      async onBatch(batch) {
        const key = partitionKey(batch)
        const end = open.get(key)
        if (end === undefined) return
        records.push(...batch.records.filter(({ offset }) => offset < end))
        if (batch.nextOffset < end) return
        open.delete(key)
        if (open.size === 0) finished.resolve()
      }
    }
  )
  try {
    await withDeadline(finished.promise, deps.timeoutMs ?? 60_000, deps.clock, `reading ${topics.join(', ')}`)
  } finally {
    await member.stop()
  }
  const ordered = distinct(records).toSorted((a, b) => a.partition - b.partition || (a.offset < b.offset ? -1 : 1))
  return Map.groupBy(ordered, ({ topic }) => topic)
}

/** A rebalance makes a member read from the start again: a record seen twice is one record. */
function distinct(records: readonly KafkaRecord[]): KafkaRecord[] {
  return [...new Map(records.map((record) => [`${partitionKey(record)}:${record.offset}`, record])).values()]
}
