// A change of the number of shards: for as long as marks of the old layout live, they are looked up before a reservation is
// made in the new one. Gateways that still write the old layout meanwhile cost copies at worst.
import type { Reservation, ReserveItem } from './dedup-lanes.ts'
import type { DedupSlot } from './dedup-slot.ts'

/** One letter per slot, all of one prefix: D marked, B leased. Rejects when Redis does not say. */
export type FindBefore = (prefix: string, slots: readonly DedupSlot[]) => Promise<string>

type ReserveAll = (items: readonly ReserveItem[]) => Promise<readonly Reservation[]>

/** `reserve`, for what `find` does not find at the place that `before` gives a slot in the old layout. */
export function reserveBehind(
  reserve: ReserveAll,
  find: FindBefore,
  before: (slot: DedupSlot) => DedupSlot | undefined
): ReserveAll {
  return async (items) => {
    const results: (Reservation | undefined)[] = items.map(() => undefined)
    const byPrefix = Map.groupBy(items.keys(), (index) => before(items[index]!.slot)?.prefix ?? '')
    byPrefix.delete('')
    await Promise.all(
      [...byPrefix].map(async ([prefix, indexes]) => {
        const slots = indexes.map((index) => before(items[index]!.slot)!)
        const flags = await find(prefix, slots).catch(() => undefined)
        indexes.forEach((index, at) => (results[index] = found(flags?.[at])))
      })
    )
    const open = [...items.keys()].filter((index) => results[index] === undefined)
    const reserved = await reserve(open.map((index) => items[index]!))
    open.forEach((index, at) => (results[index] = reserved[at]))
    return results as readonly Reservation[]
  }
}

function found(flag: string | undefined): Reservation | undefined {
  if (flag === undefined) return { kind: 'failed' }
  return flag === 'D' ? { kind: 'duplicate' } : flag === 'B' ? { kind: 'busy' } : undefined
}
