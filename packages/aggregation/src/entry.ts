// A raw record -> what the fold takes, for whoever reads the log into an epoch. A record that is not an event stays in the
// batch as a place in the log, since the position and its fingerprint move over it.
import type { Enrich, RawRecord } from '@millrace/contracts'
import { digestOf } from './fold.ts'
import type { FoldItem, FoldRange } from './fold.ts'

/** One record of a batch; `item` is undefined when it is not an event. */
export interface Entry {
  readonly offset: bigint
  readonly appendedAtMs: number
  readonly item: FoldItem | undefined
}

/** Decodes records with `enrich`; every one is an item. */
export function createToEntry(enrich: Enrich): (record: RawRecord) => { readonly kind: 'item'; readonly item: Entry } {
  return (record) => {
    const { offset, appendedAtMs } = record
    const enriched = enrich(record)
    const item = enriched.ok
      ? { row: enriched.row, digest: digestOf(enriched.row.eventId), dependsOnReceipt: enriched.dependsOnReceipt }
      : undefined
    return { kind: 'item', item: { offset, appendedAtMs, item } }
  }
}

/** What a batch says of the log. Offsets before the first record are those that retention took. */
export function toFoldRange(
  epoch: number,
  { partition, from, to }: Pick<FoldRange, 'partition' | 'from' | 'to'>,
  entries: readonly Entry[]
): FoldRange {
  const first = entries[0]?.offset ?? from
  const expired = first > from ? Number(first - from) : 0
  return { epoch, partition, from, to, appendedAtMs: entries.at(-1)?.appendedAtMs ?? -1, expired }
}
