// A raw record -> what the warehouse keeps of it. Pure, and made when the record arrives, so that a buffer holds a few
// texts per event instead of a row of forty members.
import { toRowLine } from '@millrace/contracts'
import type { Enrich, RawRecord } from '@millrace/contracts'
import { toIdentityLink } from './identity-link.ts'

/** One event for the warehouse: its lines, and what is folded over a batch. */
export interface WarehouseEntry {
  readonly projectId: string
  /** Empty when the event has none, as the next one. */
  readonly userId: string
  readonly anonymousId: string
  /** Event time, epoch milliseconds. */
  readonly timestampMs: number
  /** The line of `events_raw`, without a line end. */
  readonly event: string
  /** The line of `identity_links`, when the event is a link. */
  readonly link: string | undefined
}

/** The entry of a record, or nothing: the processor writes the letter of what is not an event. */
export type DecodedEntry =
  | { readonly kind: 'item'; readonly item: WarehouseEntry }
  | { readonly kind: 'skip'; readonly reason: 'invalid' }

const notAnEvent: DecodedEntry = { kind: 'skip', reason: 'invalid' }

/** Makes the entry of each record; never throws. */
export function createToEntry(enrich: Enrich): (record: RawRecord) => DecodedEntry {
  return (record) => {
    const enriched = enrich(record)
    if (!enriched.ok) return notAnEvent
    const { row } = enriched
    const { projectId, userId, anonymousId, timestamp } = row
    const item = {
      projectId,
      userId,
      anonymousId,
      timestampMs: timestamp,
      event: toRowLine(row),
      link: toIdentityLink(row)
    }
    return { kind: 'item', item }
  }
}
