// What the archiver does with batches: they collect in ranges, and a range that is due becomes a part of the archive.
// Whoever holds a partition may do so; only a range that begins at the head counts, and an owner that is behind drops
// its own and reads on at the head.
import { done } from '@millrace/kernel'
import type { Outcome } from '@millrace/kernel'
import { rewind } from '@millrace/consumer'
import type { Batch, Rewind } from '@millrace/consumer'
import { partitionKey } from '@millrace/kafka'
import type { Commit, TopicPartition } from '@millrace/kafka'
import type { BoundMetrics } from '@millrace/observability'
import type { ArchiveHead } from '@millrace/stores/archive-manifest'
import type { PackedRecord } from './block.ts'
import type { archiverMetrics } from './metrics.ts'
import { isDue } from './range.ts'
import type { RangeLimits } from './range.ts'
import { heldOf, inTurn, newSlot, nextOf, partitionOf } from './slot.ts'
import type { Slot } from './slot.ts'
import { createSlotWork } from './slot-work.ts'
import type { SlotWorkDeps } from './slot-work.ts'

export interface ArchiveDeps extends SlotWorkDeps {
  /** The heads of these partitions in the log that exists now. */
  readonly headsOf: (partitions: readonly TopicPartition[]) => Promise<readonly ArchiveHead[]>
  readonly limits: RangeLimits
  readonly metrics: BoundMetrics<typeof archiverMetrics>
}

/** What the archiver hands to the consumer runtime, and what it does by itself. */
export interface Archive {
  startAt(assigned: readonly TopicPartition[]): Promise<ReadonlyMap<string, bigint>>
  /** Throws PIPE_OBJECTS_UNAVAILABLE, PIPE_SPOOL_UNAVAILABLE, PIPE_POSTGRES_UNAVAILABLE; then the same batch again. */
  handle(batch: Batch<PackedRecord>, context: { readonly signal: AbortSignal }): Promise<readonly Outcome[] | Rewind>
  /**
   * Closes the ranges that are due by age, or tries to. `readOn`: positions of partitions whose range is gone, because
   * another owner archived it or the disk lost it. `failure`: the first thing that `handle` would have thrown.
   */
  closeDue(signal: AbortSignal): Promise<{ readonly readOn: readonly Commit[]; readonly failure: unknown }>
  /** Position up to which a partition is archived; undefined when it is not held. */
  archivedTo(partition: TopicPartition): bigint | undefined
}

/** The archive of the partitions of one consumer. */
export function createArchive(deps: ArchiveDeps): Archive {
  const { headsOf, limits, metrics, clock, faults } = deps
  const slots = new Map<string, Slot>()
  const { take, close, release } = createSlotWork(deps, () => metrics.heldBytes.set(total()))

  return { startAt, handle, closeDue, archivedTo: (partition) => slots.get(partitionKey(partition))?.position }

  async function startAt(assigned: readonly TopicPartition[]): Promise<ReadonlyMap<string, bigint>> {
    const heads = await headsOf(assigned)
    await faults.at('archiver.after-head')
    const positions = new Map<string, bigint>()
    const kept = new Set<string>()
    for (const head of heads) {
      const key = partitionKey(head)
      const slot = slots.get(key)
      kept.add(key)
      // The log does not change, so a range is as good after a rebalance as before, as long as it begins at the head.
      if (slot === undefined || slot.busy > 0 || slot.head.epoch !== head.epoch || slot.position !== head.position) {
        if (slot !== undefined) release(slot)
        slots.set(key, newSlot(head))
      }
      positions.set(key, nextOf(slots.get(key) ?? newSlot(head)))
    }
    for (const [key, slot] of slots) {
      if (kept.has(key)) continue
      slots.delete(key)
      release(slot)
    }
    metrics.heldBytes.set(total())
    return positions
  }

  async function handle(batch: Batch<PackedRecord>, { signal }: { readonly signal: AbortSignal }) {
    const [range] = batch.ranges
    const slot = range === undefined ? undefined : slots.get(partitionKey(range))
    if (range === undefined || slot === undefined) throw new Error('archiver: a batch of a partition that is not held')
    const readOn = await inTurn(slot, async () => {
      // A range that could not be stored before goes first; nothing can be added to it any more.
      if (slot.range?.file !== undefined) await close(slot, signal)
      if (range.to > nextOf(slot)) {
        if (range.from !== nextOf(slot)) return nextOf(slot)
        await take(slot, batch.items, range.to)
      }
      if (slot.range !== undefined && isDue(slot.range, limits, clock.monotonic())) await close(slot, signal)
      return nextOf(slot) === range.to ? undefined : nextOf(slot)
    })
    if (readOn !== undefined) return rewind([{ ...partitionOf(slot), offset: readOn }])
    await makeRoom(signal)
    return nextOf(slot) === range.to
      ? batch.items.map(() => done)
      : rewind([{ ...partitionOf(slot), offset: nextOf(slot) }])
  }

  /** Closes the largest ranges until all of them together are below the budget. */
  async function makeRoom(signal: AbortSignal): Promise<void> {
    while (total() > limits.totalBytes) {
      const [largest] = [...slots.values()].toSorted((a, b) => heldOf(b) - heldOf(a))
      if (largest === undefined) return
      await inTurn(largest, async () => {
        if (total() > limits.totalBytes) await close(largest, signal)
      })
    }
  }

  async function closeDue(signal: AbortSignal) {
    metrics.waitingSeconds.set(oldestSeconds())
    const readOn: Commit[] = []
    let failure: unknown
    for (const slot of slots.values()) {
      const due = (): boolean => slot.range !== undefined && isDue(slot.range, limits, clock.monotonic())
      if (slot.void || slot.busy > 0 || !due()) continue
      const before = nextOf(slot)
      try {
        await inTurn(slot, async () => {
          if (due()) await close(slot, signal)
        })
      } catch (error) {
        failure ??= error
      }
      if (nextOf(slot) !== before && !slot.void) readOn.push({ ...partitionOf(slot), offset: nextOf(slot) })
    }
    return { readOn, failure }
  }

  function oldestSeconds(): number {
    const times = [...slots.values()].flatMap(({ range }) => (range?.rows ? [range.firstAppendedAtMs] : []))
    return times.length === 0 ? 0 : Math.max(0, clock.now() - Math.min(...times)) / 1_000
  }

  function total(): number {
    return [...slots.values()].reduce((sum, slot) => sum + heldOf(slot), 0)
  }
}
