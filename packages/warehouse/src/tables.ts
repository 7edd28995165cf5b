// The tables that records are loaded into, in the order of their inserts: the events, then what is derived from them
// beside it. All of them bear repeats, so whoever loads inserts a batch into each, one after the other, and moves its
// position when all have answered; after any doubt the same batch again, into all of them.
import { eventColumns } from '@millrace/contracts'
import type { Line } from '@millrace/stores/tab-lines'
import type { WarehouseColumn } from './columns.ts'
import type { WarehouseEntry } from './entry.ts'
import { firstSeenColumns, toFirstSeen } from './first-seen.ts'
import { identityLinkColumns } from './identity-link.ts'

export interface WarehouseTable {
  readonly name: 'events_raw' | 'identity_links' | 'first_seen'
  /** What the lines hold, in their order. */
  readonly columns: readonly WarehouseColumn[]
  /** Copies of a row collapse by these columns, so the table has to be sorted by them, as the server writes it. */
  readonly sortingKey: string
  /** The lines for a batch; may be empty. */
  linesOf(entries: readonly WarehouseEntry[]): readonly Line[]
}

/** Every table, in the order of inserts. */
export const warehouseTables: readonly WarehouseTable[] = [
  {
    name: 'events_raw',
    columns: eventColumns.map(({ name, type }) => ({ name, type })),
    sortingKey: 'projectId, eventType, toDate(timestamp), cityHash64(eventId), eventId',
    linesOf: (entries) => entries.map(({ event }) => event)
  },
  {
    name: 'identity_links',
    columns: identityLinkColumns,
    sortingKey: 'projectId, anonymousId, eventId, fact',
    linesOf: (entries) => entries.flatMap(({ link }) => link ?? [])
  },
  {
    name: 'first_seen',
    columns: firstSeenColumns,
    sortingKey: 'projectId, idKind, id',
    linesOf: toFirstSeen
  }
]
