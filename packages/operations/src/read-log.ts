// Reads parts of the log in order, beside the groups that work on it: nothing is committed and no group is disturbed.
import { randomUUID } from 'node:crypto'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { partitionKey } from '@millrace/kafka'
import type { ConsumerClient, RecordBatch, TopicPartition } from '@millrace/kafka'

/** How the groups of readers that commit nothing are called. */
export const readGroupPrefix = 'read-'

/** Offsets `from` (included) to `to` (excluded) of one partition. */
export interface LogPart extends TopicPartition {
  readonly from: bigint
  readonly to: bigint
}

export interface ReadLogDeps {
  readonly client: ConsumerClient
  readonly clock: Clock
  /** PIPE_DEADLINE when nothing comes for this long. Default 60,000. */
  readonly silenceMs?: number
  /** Told of offsets that the log does not have any more. */
  readonly onGone?: (part: LogPart) => void
}

/**
 * Calls `onBatch` with the records of `parts`, each partition in the order of its offsets; resolves at their ends. One
 * part per partition. It waits for `onBatch`; one that takes longer than a minute may lose its place in the group and get
 * the same records again. Throws PIPE_KAFKA_UNAVAILABLE, PIPE_DEADLINE, and what `onBatch` throws.
 */
export async function readLog(
  { client, clock, silenceMs = 60_000, onGone }: ReadLogDeps,
  parts: readonly LogPart[],
  onBatch: (records: RecordBatch['records']) => void | Promise<void>
): Promise<void> {
  const open = new Map(parts.filter(({ from, to }) => to > from).map((part) => [partitionKey(part), { ...part }]))
  if (open.size === 0) return
  const finished = Promise.withResolvers<void>()
  const fail = (): void => finished.reject(new AppError('PIPE_DEADLINE', `reading the log: ${silenceMs} ms of silence`))
  let silence = clock.timer(silenceMs, fail)
  const member = await client.join(
    {
      groupId: `${readGroupPrefix}${randomUUID()}`,
      topics: async () => [...new Set(parts.map(({ topic }) => topic))],
      fallback: 'earliest',
      sessionTimeoutMs: 30_000,
      heartbeatIntervalMs: 3_000,
      rebalanceTimeoutMs: 30_000,
      topicRefreshMs: 3_600_000,
      maxBytesPerPartition: 4 * 1024 ** 2,
      maxWaitMs: 100
    },
    {
      async onAssigned(assigned) {
        return new Map(assigned.map((at) => [partitionKey(at), open.get(partitionKey(at))?.from ?? 0n]))
      },
      onRevoking: async () => {},
      onOutOfRange(partition, _requested, logStart) {
        const part = open.get(partitionKey(partition))
        if (part !== undefined && logStart > part.from)
          onGone?.({ ...part, to: logStart < part.to ? logStart : part.to })
        pass(partition, logStart)
      },
      onFatal: finished.reject,
      async onBatch(batch) {
        const part = open.get(partitionKey(batch))
        if (part === undefined) return
        silence[Symbol.dispose]()
        try {
          await onBatch(batch.records.filter(({ offset }) => offset >= part.from && offset < part.to))
        } catch (error) {
          return finished.reject(error)
        }
        silence = clock.timer(silenceMs, fail)
        pass(batch, batch.nextOffset)
      }
    }
  )
  try {
    await finished.promise
  } finally {
    silence[Symbol.dispose]()
    await member.stop()
  }

  /** A rejoin goes on behind what was handed over. */
  function pass(partition: TopicPartition, next: bigint): void {
    const part = open.get(partitionKey(partition))
    if (part === undefined) return
    part.from = next > part.from ? next : part.from
    if (part.from < part.to) return
    open.delete(partitionKey(partition))
    if (open.size === 0) finished.resolve()
  }
}
