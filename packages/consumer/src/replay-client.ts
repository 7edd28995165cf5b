// Two ways to stand between a consumer and its group: one ends a replay where it has to end, the other watches how far
// live reading is behind, so that a replay can give way to it.
import type { Clock } from '@millrace/kernel'
import { partitionKey } from '@millrace/kafka'
import type { ConsumerClient, GroupHandlers, GroupMember, TopicPartition } from '@millrace/kafka'

export interface BoundedOptions {
  /** Offset after the last record of each partition that is handed over. */
  readonly ends: ReadonlyMap<number, bigint>
  /** How many partitions of those are this member's, after every assignment. */
  readonly onShare: (partitions: number) => void
}

/** A client whose members see a log that ends at `ends`; a partition that came there is paused. */
export function createBoundedClient(client: ConsumerClient, { ends, onShare }: BoundedOptions): ConsumerClient {
  return {
    async join(options, handlers) {
      let member: GroupMember | undefined
      const bounded: GroupHandlers = {
        ...handlers,
        async onAssigned(assignment) {
          onShare(assignment.filter(({ partition }) => ends.has(partition)).length)
          return await handlers.onAssigned(assignment)
        },
        async onBatch(batch) {
          const end = ends.get(batch.partition) ?? 0n
          const highWatermark = batch.highWatermark < end ? batch.highWatermark : end
          if (batch.nextOffset < end) return await handlers.onBatch({ ...batch, highWatermark })
          const records = batch.records.filter(({ offset }) => offset < end)
          if (records.length > 0) await handlers.onBatch({ ...batch, records, highWatermark, nextOffset: end })
          member?.pause([batch])
        }
      }
      member = await client.join(options, bounded)
      return member
    }
  }
}

export interface WatchedClient {
  readonly client: ConsumerClient
  /** Age of the last record that was fetched where the log has more behind it, in milliseconds; 0 when nothing waits. */
  behindMs(): number
}

/** A client that knows how far its members are behind the ends of their logs. */
export function createWatchedClient(client: ConsumerClient, clock: Clock): WatchedClient {
  const behind = new Map<string, number>()
  const watch = (handlers: GroupHandlers): GroupHandlers => ({
    ...handlers,
    async onAssigned(assignment: readonly TopicPartition[]) {
      behind.clear()
      return await handlers.onAssigned(assignment)
    },
    async onBatch(batch) {
      const last = batch.records.at(-1)
      if (batch.nextOffset >= batch.highWatermark) behind.delete(partitionKey(batch))
      else if (last !== undefined) behind.set(partitionKey(batch), last.appendedAtMs)
      await handlers.onBatch(batch)
    }
  })
  return {
    client: { join: (options, handlers) => client.join(options, watch(handlers)) },
    behindMs: () => (behind.size === 0 ? 0 : Math.max(0, clock.now() - Math.min(...behind.values())))
  }
}
