// The time that a question is about. Pure.
import { isZone, timeOf, timeRule } from '../question-time.ts'
import { WrongInput } from './input.ts'
import type { Members } from './input.ts'

/** [fromMs, toMs), and the zone whose days are meant. */
export interface Span {
  readonly fromMs: number
  readonly toMs: number
  readonly zone: string
}

export const dayMs = 86_400_000
/** A question that says no end is the same for so long, so that its answer can be sent again. */
const endsEveryMs = 60_000

/** Longest span of a question. */
export const mostDays = 366

/**
 * `startTime`, `endTime` and `timezone` of a question: the last `usualDays` days unless they say otherwise. Throws
 * WrongInput.
 */
export function readSpan({ startTime, endTime, timezone = 'UTC' }: Members, nowMs: number, usualDays: number): Span {
  // Offsets are zones for this runtime, too, but tell no days across a change of clocks.
  if (typeof timezone !== 'string' || !/^[A-Za-z]/.test(timezone) || !isZone(timezone)) {
    throw new WrongInput('/timezone', 'must be a name such as Europe/Berlin')
  }
  const toMs = endTime === undefined ? Math.ceil(nowMs / endsEveryMs) * endsEveryMs : timeOf(endTime, timezone)
  if (toMs === undefined) throw new WrongInput('/endTime', timeRule)
  const fromMs = startTime === undefined ? toMs - usualDays * dayMs : timeOf(startTime, timezone)
  if (fromMs === undefined) throw new WrongInput('/startTime', timeRule)
  if (fromMs >= toMs) throw new WrongInput('/startTime', 'must be before endTime')
  if (fromMs < 0) throw new WrongInput('/startTime', 'must not be before 1970')
  if (toMs - fromMs > mostDays * dayMs)
    throw new WrongInput('/startTime', `must be at most ${mostDays} days before endTime`)
  return { fromMs, toMs, zone: timezone }
}

/** A time as it is shown. */
export function iso(atMs: number): string {
  return new Date(atMs).toISOString()
}
