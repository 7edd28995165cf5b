// Where an event lives in the deduplication store. One hash per event gives everything: the shard, the name of its lease,
// and its place among the marks.
import { hash } from 'node:crypto'

/** The place of one event, computed once. */
export interface DedupSlot {
  /** Start of its keys, hash tag included; events with the same one share a script call. */
  readonly prefix: string
  /**
   * 30 hexadecimal digits that name its lease and its first receipt, four that choose a set of marks, then the mark: 19
   * decimal digits, so that all words are equally long and the mark is a 64-bit integer to Redis. Set and mark together
   * are 78 bits of the hash, apart from those of the name.
   */
  readonly word: string
  /** Where the event lived before a change of the number of shards, while that is looked up. */
  readonly before?: DedupSlot
}

export const digestLength = 30
export const placeLength = 4
export const wordLength = digestLength + placeLength + 19

/** Values of the first ten digits of a mark: from 1,000,000,000 to below 2^63 / 10^9. */
const headValues = 8_223_372_036

/**
 * Slots over `shards` hash tags per project, and over `previousShards` where it is given. The idempotency key is
 * (project, log generation, eventId).
 */
export function createSlots(shards: number, previousShards?: number) {
  return (project: string, generation: number, eventId: string): DedupSlot => {
    const hex = hash('sha256', `${project}\0${generation}\0${eventId}`)
    const head = 1_000_000_000 + (parseInt(hex.slice(34, 46), 16) % headValues)
    const tail = 1_000_000_000 + (parseInt(hex.slice(46, 58), 16) % 1_000_000_000)
    const word = hex.slice(0, 34) + head + String(tail).slice(1)
    const at = (count: number): DedupSlot => {
      const shard = count === 1 ? 0 : parseInt(hex.slice(58), 16) % count
      return { prefix: `event:{${project}.${shard}}:`, word }
    }
    return previousShards === undefined ? at(shards) : { ...at(shards), before: at(previousShards) }
  }
}

/** The part of a slot's word that names its lease. */
export function digestOf({ word }: DedupSlot): string {
  return word.slice(0, digestLength)
}
