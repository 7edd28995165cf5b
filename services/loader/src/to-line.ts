// A raw record -> the line of its row. Pure, and made when the record arrives, so that a buffer holds one text per
// event instead of a row of forty members.
import { toRowLine } from '@millrace/contracts'
import type { Enrich, RawRecord } from '@millrace/contracts'

/** The line of a record, or nothing: the processor writes the letter of what is not an event. */
export type Line =
  | { readonly kind: 'item'; readonly item: string }
  | { readonly kind: 'skip'; readonly reason: 'invalid' }

/** One JSON line for `events_raw`, without a line end, of each record. */
export function createToLine(enrich: Enrich): (record: RawRecord) => Line {
  return (record) => {
    const enriched = enrich(record)
    return enriched.ok ? { kind: 'item', item: toRowLine(enriched.row) } : { kind: 'skip', reason: 'invalid' }
  }
}
