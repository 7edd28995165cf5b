// A raw record -> what the warehouse keeps of it: the bytes that are sent, and a few texts, instead of a row of forty
// members. A pure function of the record but for where the bytes lie.
import type { Enrich, RawRecord } from '@millrace/contracts'
import type { Line } from '@millrace/stores/tab-lines'
import { createEventLines } from './event-line.ts'
import { createIdentityLinks } from './identity-link.ts'

/** One event for the warehouse: its lines, and what is folded over a batch. */
export interface WarehouseEntry {
  readonly projectId: string
  /** Empty when the event has none, as the next one. */
  readonly userId: string
  readonly anonymousId: string
  /** Event time, epoch milliseconds. */
  readonly timestampMs: number
  /** The line of `events_raw`. */
  readonly event: Line
  /** The line of `identity_links`, when the event is a link. */
  readonly link: Line | undefined
}

/** Objects and short texts of an entry beside its lines, in bytes, rounded up. */
const entryOverhead = 700

/** Bytes of memory that an entry holds. */
export function entryBytes({ event, link }: WarehouseEntry): number {
  return entryOverhead + (event.end - event.start) + (link === undefined ? 0 : link.end - link.start)
}

/** The entry of a record, or nothing: the processor writes the letter of what is not an event. */
export type DecodedEntry =
  | { readonly kind: 'item'; readonly item: WarehouseEntry }
  | { readonly kind: 'skip'; readonly reason: 'invalid' }

const notAnEvent: DecodedEntry = { kind: 'skip', reason: 'invalid' }

/** Makes the entry of each record; never throws. */
export function createToEntry(enrich: Enrich): (record: RawRecord) => DecodedEntry {
  const toEventLine = createEventLines()
  const toIdentityLink = createIdentityLinks()
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
      event: toEventLine(row),
      link: toIdentityLink(row)
    }
    return { kind: 'item', item }
  }
}
