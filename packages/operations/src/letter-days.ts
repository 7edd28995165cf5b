// A letter that is sent to the loaders once more adds a row to a day that may have been counted long ago, and no nightly
// pass asks for it: a redriven record keeps its append time. So whoever sends letters queues their days.
import type { Enrich, RawRecord } from '@millrace/contracts'
import type { Queryable } from '@millrace/stores/postgres'
import { queueRecount } from './daily-metrics.ts'

const dayLengthMs = 86_400_000

/**
 * Queues the days of `records` (of one project, under the coordinates of the records that failed) to be counted from the
 * warehouse, and the day before each: a session counts where it began. To be called when the letters are acknowledged by
 * their redrive topic: the curator waits until the loaders have passed what lies there. Throws PIPE_POSTGRES_UNAVAILABLE.
 */
export async function queueLetterDays(
  { postgres, enrich }: { readonly postgres: Queryable; readonly enrich: Enrich },
  projectId: string,
  records: readonly RawRecord[]
): Promise<void> {
  const days = records.flatMap((record) => {
    const dayMs = dayOf(record, enrich)
    return [dayMs - dayLengthMs, dayMs]
  })
  await queueRecount(postgres, projectId, [...new Set(days)], 'letter')
}

/** Start of the day of an event, ms; of its append when it cannot be told. */
export function dayOf(record: RawRecord, enrich: Enrich): number {
  let atMs = record.appendedAtMs
  try {
    const enriched = enrich(record)
    if (enriched.ok) atMs = enriched.row.timestamp
  } catch {
    // A bug of this version, perhaps the one that the letter is about.
  }
  return Math.floor(atMs / dayLengthMs) * dayLengthMs
}
