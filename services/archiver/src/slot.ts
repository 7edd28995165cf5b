// A partition that this process holds: its head, the range in the making, and one piece of work on it at a time.
import type { TopicPartition } from '@millrace/kafka'
import type { ArchiveHead } from '@millrace/stores/archive-manifest'
import { heldBytes } from './range.ts'
import type { Range } from './range.ts'

export interface Slot {
  readonly head: ArchiveHead
  /** Position of the head as far as known here. */
  position: bigint
  /** Begins at the position. */
  range: Range | undefined
  /** Work on the range, one piece after the other. */
  turn: Promise<unknown>
  /** Pieces of work that wait or run. */
  busy: number
  /** A newer assignment has a slot of its own for the partition, or nobody here holds it. */
  void: boolean
}

/** The slot of a partition whose archive goes on at `head`. */
export function newSlot(head: ArchiveHead): Slot {
  return { head, position: head.position, range: undefined, turn: Promise.resolve(), busy: 0, void: false }
}

/** Offset with which the next batch of the slot begins. */
export function nextOf({ range, position }: Slot): bigint {
  return range?.next ?? position
}

/** Memory and disk of the slot. */
export function heldOf({ range }: Slot): number {
  return range === undefined ? 0 : heldBytes(range)
}

export function partitionOf({ head }: Slot): TopicPartition {
  return { topic: head.topic, partition: head.partition }
}

/** Runs `work` when everything asked for before on this slot has ended. */
export async function inTurn<T>(slot: Slot, work: () => Promise<T>): Promise<T> {
  slot.busy++
  const turn = slot.turn.then(work)
  slot.turn = turn.catch(() => {})
  try {
    return await turn
  } finally {
    slot.busy--
  }
}
