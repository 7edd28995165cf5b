// A raw record -> what the fold takes. A record that is not an event stays in the batch as a place in the log, since
// the position and its fingerprint move over it.
import { digestOf } from '@millrace/aggregation/fold'
import type { FoldItem } from '@millrace/aggregation/fold'
import type { ConsumedRecord, Decoded } from '@millrace/consumer'
import type { Enrich } from '@millrace/contracts'

/** One record of a batch; `item` is undefined when it is not an event. */
export interface Entry {
  readonly offset: bigint
  readonly appendedAtMs: number
  readonly item: FoldItem | undefined
}

/** Decodes records with `enrich`. */
export function createToEntry(enrich: Enrich): (record: ConsumedRecord) => Decoded<Entry> {
  return (record) => {
    const { offset, appendedAtMs } = record
    const enriched = enrich(record)
    const item = enriched.ok
      ? { row: enriched.row, digest: digestOf(enriched.row.eventId), dependsOnReceipt: enriched.dependsOnReceipt }
      : undefined
    return { kind: 'item', item: { offset, appendedAtMs, item } }
  }
}
