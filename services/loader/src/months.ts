// The entries of a batch by the month of their event time (UTC), which is the partition of their row. Pure.
import type { WarehouseEntry } from '@millrace/warehouse/entry'

/** One list for each month that occurs, in the order of its first entry. */
export function byMonth(entries: readonly WarehouseEntry[]): readonly (readonly WarehouseEntry[])[] {
  return [...Map.groupBy(entries, ({ timestampMs }) => monthOf(timestampMs)).values()]
}

/** Months since 1970. */
function monthOf(timestampMs: number): number {
  const date = new Date(timestampMs)
  return (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth()
}
