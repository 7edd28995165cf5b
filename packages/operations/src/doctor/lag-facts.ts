// What a look at the log says to the doctor.
import { AppError } from '@millrace/kernel'
import type { LagView } from '../lag-book.ts'
import type { LagFacts } from './check-topics.ts'

/** The monitor looks every ten seconds at least. */
const longestMs = 60_000

/** Throws PIPE_KAFKA_UNAVAILABLE when the look is of more than a minute ago: nobody could look since then. */
export function toLagFacts({ atMs, rows, partitions, unknown }: LagView, nowMs: number): LagFacts {
  const agoMs = nowMs - atMs
  if (agoMs > longestMs) {
    const last = atMs === 0 ? 'not been looked at yet' : `last been looked at ${Math.round(agoMs / 1_000)} s ago`
    throw new AppError('PIPE_KAFKA_UNAVAILABLE', `the log has ${last}`)
  }
  return { rows, leaderless: partitions.filter(({ leader }) => leader < 0), unknown }
}
