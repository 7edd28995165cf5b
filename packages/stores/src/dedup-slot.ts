// Where an event lives in the deduplication store. One hash per event gives everything: the shard, the name of its lease,
// and its place among the marks.
import { hash } from 'node:crypto'

/** The place of one event, computed once. */
export interface DedupSlot {
  /** Start of its keys, hash tag included; events with the same one share a script call. */
  readonly prefix: string
  /** 20 characters, 120 bits of the hash: the end of the keys of its lease and its first receipt. */
  readonly digest: string
  /** Digest, then five digits that choose a set of marks, then the mark: a 64-bit integer in decimal. */
  readonly word: string
  /** Where the event lived before a change of the number of shards, while that is looked up. */
  readonly before?: DedupSlot
}

export const digestLength = 20

/**
 * Slots over `shards` hash tags per project, and over `previousShards` where it is given. The idempotency key is
 * (project, log generation, eventId).
 */
export function createSlots(shards: number, previousShards?: number) {
  return (project: string, generation: number, eventId: string): DedupSlot => {
    const bytes = hash('sha256', `${project}\0${generation}\0${eventId}`, 'buffer')
    const digest = bytes.toString('base64url', 0, 15)
    const set = bytes.readUInt16BE(8).toString().padStart(5, '0')
    const mark = bytes.readBigInt64BE(0)
    const word = `${digest}${set}${mark}`
    const at = (count: number): DedupSlot => {
      const shard = count === 1 ? 0 : bytes.readUInt32BE(16) % count
      return { prefix: `event:{${project}.${shard}}:`, digest, word }
    }
    return previousShards === undefined ? at(shards) : { ...at(shards), before: at(previousShards) }
  }
}
