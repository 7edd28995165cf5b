// Two ways to stand between a consumer and its group: one ends a replay where it has to end, the other watches how far
// live reading is behind, so that a replay can give way to it.
import type { Clock } from '@millrace/kernel'
import { partitionKey } from '@millrace/kafka'
import type { Commit, ConsumerClient, GroupHandlers, GroupMember, KafkaRecord, TopicPartition } from '@millrace/kafka'

export interface BoundedOptions {
  /** Offset after the last record of each partition that is handed over. */
  readonly ends: ReadonlyMap<number, bigint>
  /** How many partitions of those are this member's, after every assignment. */
  readonly onShare: (partitions: number) => void
}

/**
 * A client whose members see a log that ends at `ends`; a partition that came there is paused. Where the log has no record
 * right before its end, the end is committed as soon as all before it is.
 */
export function createBoundedClient(client: ConsumerClient, { ends, onShare }: BoundedOptions): ConsumerClient {
  return {
    async join(options, handlers) {
      let member: GroupMember | undefined
      const holes = createHoles(ends)
      const commit = async (commits: readonly Commit[]): Promise<'committed' | 'fenced'> => {
        if (member === undefined) return 'fenced'
        const told = commits.map(holes.fill)
        const fate = await member.commit(told)
        if (fate === 'committed') holes.committed(told)
        // The end may have been reached meanwhile.
        return fate === 'committed' && told.some((one) => holes.fill(one) !== one) ? await commit(told) : fate
      }
      const bounded: GroupHandlers = {
        ...handlers,
        async onAssigned(assignment) {
          holes.clear()
          onShare(assignment.filter(({ partition }) => ends.has(partition)).length)
          return await handlers.onAssigned(assignment)
        },
        async onBatch(batch) {
          const { topic, partition } = batch
          const end = ends.get(partition)
          if (end === undefined) return member?.pause([batch])
          const isLast = batch.nextOffset >= end
          const records = isLast ? batch.records.filter(({ offset }) => offset < end) : batch.records
          const highWatermark = batch.highWatermark < end ? batch.highWatermark : end
          const nextOffset = isLast ? end : batch.nextOffset
          holes.handed(records)
          if (!isLast || records.length > 0) await handlers.onBatch({ ...batch, records, highWatermark, nextOffset })
          if (!isLast) return
          member?.pause([batch])
          if (records.length > 0 || !holes.reached(partition)) return
          await commit([{ topic, partition, offset: end }]).catch(() => {
            // What lies behind the end is fetched again, and with it this is tried again.
            member?.seek(batch, end)
            member?.resume([batch])
          })
        }
      }
      const joined = await client.join(options, bounded)
      member = joined
      return {
        pause: (partitions) => joined.pause(partitions),
        resume: (partitions) => joined.resume(partitions),
        seek: (partition, offset) => joined.seek(partition, offset),
        commit,
        stop: () => joined.stop()
      }
    }
  }
}

/** Partitions whose end was reached without a record right before it, since the last assignment. */
function createHoles(ends: ReadonlyMap<number, bigint>) {
  /** Offset after the last record that was handed over, and the last position that was committed. */
  const handed = new Map<number, bigint>()
  const committed = new Map<number, bigint>()
  const found = new Set<number>()
  return {
    clear(): void {
      for (const known of [handed, committed, found]) known.clear()
    },
    handed(records: readonly KafkaRecord[]): void {
      const last = records.at(-1)
      if (last !== undefined) handed.set(last.partition, last.offset + 1n)
    },
    committed(commits: readonly Commit[]): void {
      for (const { partition, offset } of commits) committed.set(partition, offset)
    },
    /** Whether all before the hole is committed already. */
    reached(partition: number): boolean {
      found.add(partition)
      const last = handed.get(partition)
      return last === undefined || (committed.get(partition) ?? -1n) >= last
    },
    /** The end instead of the last position before the hole. */
    fill(commit: Commit): Commit {
      const { partition, offset } = commit
      const end = ends.get(partition)
      if (end === undefined || offset >= end || !found.has(partition)) return commit
      return offset >= (handed.get(partition) ?? 0n) ? { ...commit, offset: end } : commit
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
