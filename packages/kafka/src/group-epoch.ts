// One assignment of one member: from a completed join to the next rebalance. It owns the fetch positions, so a batch
// is taken only when it was fetched from exactly where this epoch stands; whatever was in flight from before is not.
import { partitionKey } from './port.ts'
import type { TopicPartition } from './port.ts'

/** `starting`: joined, start positions not known yet. `active`: fetching. `over`: a rebalance began, or the member ended. */
export type EpochState = 'starting' | 'active' | 'over'

export interface GroupEpoch {
  readonly memberId: string
  readonly generationId: number
  readonly assignment: readonly TopicPartition[]
  readonly state: () => EpochState
  holds(partition: TopicPartition): boolean
  /** Batches may be taken from now on; `starting` only. */
  start(): void
  end(): void
  position(partition: TopicPartition): bigint | undefined
  /** Sets the position; the handlers may do so before the start. */
  move(partition: TopicPartition, offset: bigint): void
  /** How often the position was set: what was taken before the last time is not to be handed over after it. */
  moves(partition: TopicPartition): number
  /** Whether a batch fetched at `fetchedAt` continues this epoch; if so, the position moves to `nextOffset`. */
  take(partition: TopicPartition, fetchedAt: bigint, nextOffset: bigint): boolean
  setPaused(partition: TopicPartition, paused: boolean): void
  isPaused(partition: TopicPartition): boolean
}

export interface EpochIdentity {
  readonly memberId: string
  readonly generationId: number
  readonly assignment: readonly TopicPartition[]
}

/** Creates the epoch of a completed join. */
export function createGroupEpoch({ memberId, generationId, assignment }: EpochIdentity): GroupEpoch {
  const held = new Set(assignment.map(partitionKey))
  const positions = new Map<string, bigint>()
  const moves = new Map<string, number>()
  const paused = new Set<string>()
  let state: EpochState = 'starting'
  return {
    memberId,
    generationId,
    assignment,
    state: () => state,
    holds: (partition) => held.has(partitionKey(partition)),
    start() {
      if (state === 'starting') state = 'active'
    },
    end() {
      state = 'over'
    },
    position: (partition) => positions.get(partitionKey(partition)),
    move(partition, offset) {
      const key = partitionKey(partition)
      positions.set(key, offset)
      moves.set(key, (moves.get(key) ?? 0) + 1)
    },
    moves: (partition) => moves.get(partitionKey(partition)) ?? 0,
    take(partition, fetchedAt, nextOffset) {
      const key = partitionKey(partition)
      if (state !== 'active' || paused.has(key) || positions.get(key) !== fetchedAt) return false
      positions.set(key, nextOffset)
      return true
    },
    setPaused(partition, value) {
      if (value) paused.add(partitionKey(partition))
      else paused.delete(partitionKey(partition))
    },
    isPaused: (partition) => paused.has(partitionKey(partition))
  }
}
