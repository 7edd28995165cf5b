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

/** How long live events have waited that could have been through, in milliseconds, and where. */
export interface Behind {
  readonly ms: number
  /** Topic and partition; undefined when nothing waits. */
  readonly partition: string | undefined
}

export interface WatchedClient {
  readonly client: ConsumerClient
  /**
   * The longest wait of live reading: how long the oldest record in hand is not committed, less the time that its batch
   * may be gathered, or how long the end of a log was not reached. All by the monotonic clock of this process: that of a
   * broker may differ, and must not hold a replay for good.
   */
  behind(): Behind
}

/** Records of one fetch that are in hand: since when, and the position behind their last. */
interface InHand {
  readonly arrivedAtMs: number
  readonly next: bigint
}

/** What is known of a partition: fetches that are not committed, the oldest first, and since when the log has more. */
interface Watched {
  readonly inHand: InHand[]
  readonly moreSinceMs: number | undefined
}

/**
 * A client that knows how far its members are behind the ends of their logs. Being fetched is not being read: a record
 * counts until the position behind it is committed. `gatherMs` is how long a record waits for its batch by design.
 */
export function createWatchedClient(client: ConsumerClient, clock: Clock, gatherMs: number): WatchedClient {
  const partitions = new Map<string, Watched>()
  const watch = (handlers: GroupHandlers): GroupHandlers => ({
    ...handlers,
    async onAssigned(assignment: readonly TopicPartition[]) {
      partitions.clear()
      return await handlers.onAssigned(assignment)
    },
    async onBatch(batch) {
      const key = partitionKey(batch)
      const { inHand = [], moreSinceMs = clock.monotonic() } = partitions.get(key) ?? {}
      const last = batch.records.at(-1)
      if (last !== undefined) inHand.push({ arrivedAtMs: clock.monotonic(), next: last.offset + 1n })
      partitions.set(key, { inHand, moreSinceMs: batch.nextOffset >= batch.highWatermark ? undefined : moreSinceMs })
      await handlers.onBatch(batch)
    },
    onOutOfRange(partition, requested, logStart) {
      // What was behind is gone; an empty log sends nothing that would say so.
      partitions.delete(partitionKey(partition))
      return handlers.onOutOfRange(partition, requested, logStart)
    }
  })
  return {
    client: {
      async join(options, handlers) {
        const member = await client.join(options, watch(handlers))
        return {
          pause: (them) => member.pause(them),
          resume: (them) => member.resume(them),
          seek(partition, offset) {
            partitions.delete(partitionKey(partition))
            member.seek(partition, offset)
          },
          async commit(commits) {
            const fate = await member.commit(commits)
            if (fate === 'committed')
              for (const each of commits) passed(partitions.get(partitionKey(each)), each.offset)
            return fate
          },
          stop: () => member.stop()
        }
      }
    },
    behind() {
      const nowMs = clock.monotonic()
      let behind: Behind = { ms: 0, partition: undefined }
      for (const [partition, { inHand, moreSinceMs = nowMs }] of partitions) {
        const dueMs = (inHand[0]?.arrivedAtMs ?? nowMs) + gatherMs
        const ms = nowMs - Math.min(dueMs, moreSinceMs)
        if (ms > behind.ms) behind = { ms, partition }
      }
      return behind
    }
  }
}

function passed(watched: Watched | undefined, offset: bigint): void {
  if (watched === undefined) return
  const open = watched.inHand.findIndex(({ next }) => next > offset)
  watched.inHand.splice(0, open < 0 ? watched.inHand.length : open)
}
