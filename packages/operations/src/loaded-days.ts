// Rows that are loaded again keep their append times, so no nightly pass asks for their days: whoever loads them queues
// these.
import type { Queryable } from '@millrace/stores/postgres'
import { queueRecount } from './daily-metrics.ts'
import type { LoadedDays } from './warehouse-sink.ts'

const dayLengthMs = 86_400_000

/**
 * Queues the days that a load touched to be counted from the warehouse, and the day before each: a session counts where it
 * began. None when the load is not whole: a part of a day would count less than what was counted while all was there.
 * Resolves with the number of days. Throws PIPE_POSTGRES_UNAVAILABLE.
 */
export async function queueLoadedDays(
  postgres: Queryable,
  { isWhole, days }: { readonly isWhole: boolean; readonly days: LoadedDays }
): Promise<number> {
  if (!isWhole) return 0
  let count = 0
  for (const [projectId, own] of days) {
    const touched = new Set([...own].flatMap((dayMs) => [dayMs - dayLengthMs, dayMs]))
    await queueRecount(
      postgres,
      projectId,
      [...touched].toSorted((left, right) => left - right),
      'rebuild'
    )
    count += touched.size
  }
  return count
}
