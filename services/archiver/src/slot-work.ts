// What is done to the range of one slot; whoever calls it has the slot's turn.
import { breathe } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { packBlock } from './block.ts'
import type { PackedRecord } from './block.ts'
import type { CloseRange } from './close-range.ts'
import type { Encoder } from './encoder.ts'
import { extend, newRange } from './range.ts'
import { inTurn, partitionOf } from './slot.ts'
import type { Slot } from './slot.ts'

export interface SlotWorkDeps {
  readonly closeRange: CloseRange
  readonly encoder: Pick<Encoder, 'append' | 'drop'>
  readonly clock: Clock
  readonly faults: { at(label: string): void | Promise<void> }
}

export interface SlotWork {
  /** Adds records up to the offset `to`, holes included, to the range. Throws PIPE_SPOOL_UNAVAILABLE; it is gone then. */
  take(slot: Slot, records: readonly PackedRecord[], to: bigint): Promise<void>
  /** Makes the range part of the archive, or finds that another owner did. Either way it is gone. Throws: see CloseRange. */
  close(slot: Slot, signal: AbortSignal): Promise<void>
  /** Gives a slot up that has another one in its place, or none. */
  release(slot: Slot): void
}

/** The work of an archiver; `onHeld` hears when what is held changed. */
export function createSlotWork(deps: SlotWorkDeps, onHeld: () => void): SlotWork {
  const { closeRange, encoder, clock, faults } = deps
  let lastSpool = 0

  /** The log still has what is forgotten here. */
  async function discard(slot: Slot): Promise<void> {
    const { range } = slot
    slot.range = undefined
    if (range !== undefined) await encoder.drop(range.spool)
    onHeld()
  }

  return {
    async take(slot, records, to) {
      // Packing takes milliseconds, and batches of several partitions may be due at once.
      await breathe()
      const range = (slot.range ??= newRange(++lastSpool, slot.position, clock.monotonic()))
      const block = packBlock(records)
      extend(range, records, block, to)
      try {
        if (records.length > 0) range.held = await encoder.append(range.spool, partitionOf(slot), block)
      } catch (error) {
        await discard(slot)
        throw error
      }
      onHeld()
      await faults.at('archiver.after-take')
    },
    async close(slot, signal) {
      const { range } = slot
      if (range === undefined || range.rows === 0) return
      try {
        slot.position = await closeRange(slot.head, range, signal)
      } catch (error) {
        // Without its file complete the range cannot be stored, now or later.
        if (range.file === undefined) await discard(slot)
        throw error
      }
      await discard(slot)
    },
    release(slot) {
      slot.void = true
      void inTurn(slot, () => discard(slot)).catch(() => {})
    }
  }
}
