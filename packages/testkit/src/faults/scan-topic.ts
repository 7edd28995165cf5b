// Reads a whole topic, from its first record to where it ended when the scan began.
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
  const open = new Map<string, bigint>()
  for (const range of await deps.admin.ranges(topic)) {
    if (range.end > range.start) open.set(partitionKey(range), range.end)
  }
  if (open.size === 0) return []
  const records: KafkaRecord[] = []
  const finished = Promise.withResolvers<void>()
  const member = await deps.client.join(
    {
      groupId: unique('scan'),
      topics: async () => [topic],
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
    await withDeadline(finished.promise, deps.timeoutMs ?? 60_000, deps.clock, `reading ${topic}`)
  } finally {
    await member.stop()
  }
  return distinct(records).toSorted((a, b) => a.partition - b.partition || (a.offset < b.offset ? -1 : 1))
}

/** A rebalance makes a member read from the start again: a record seen twice is one record. */
function distinct(records: readonly KafkaRecord[]): KafkaRecord[] {
  return [...new Map(records.map((record) => [`${record.partition}:${record.offset}`, record])).values()]
}
