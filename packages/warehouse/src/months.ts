// The entries of a batch by the month of their event time (UTC), which is the partition of their row: a server may refuse
// rows of many months in one insert, with the code that also says that it is overloaded.
import { AppError } from '@millrace/kernel'
import type { WarehouseEntry } from './entry.ts'

/** TOO_MANY_PARTS: the server has too many of them, or this one insert would make too many. */
const tooManyParts = 252

/**
 * Inserts `entries` by `insert`. When the server refuses them with TOO_MANY_PARTS and they are of several months, it gets
 * them month by month, but only when it takes a row at all: otherwise it is overloaded, and more inserts would make that
 * worse. Resolves with whether it did. Throws what `insert` throws.
 */
export async function insertByMonth(
  entries: readonly WarehouseEntry[],
  insert: (entries: readonly WarehouseEntry[]) => Promise<void>
): Promise<boolean> {
  try {
    await insert(entries)
    return false
  } catch (error) {
    if (!(error instanceof AppError) || error.details['code'] !== tooManyParts) throw error
    const months = byMonth(entries)
    if (months.length < 2) throw error
    await insert(entries.slice(0, 1))
    for (const month of months) await insert(month)
    return true
  }
}

/** One list for each month that occurs, in the order of its first entry. */
function byMonth(entries: readonly WarehouseEntry[]): readonly (readonly WarehouseEntry[])[] {
  return [...Map.groupBy(entries, ({ timestampMs }) => monthOf(timestampMs)).values()]
}

/** Months since 1970. */
function monthOf(timestampMs: number): number {
  const date = new Date(timestampMs)
  return (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth()
}
