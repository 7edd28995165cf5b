// Which windows the live state answers and which the warehouse does. Pure.
import type { WindowsRead } from '@millrace/aggregation/window-reader'
import { granularities } from '@millrace/aggregation/metrics'
import type { Granularity } from '@millrace/aggregation/metrics'

/** A window is deleted a moment after it may be: what was read just before counts as gone already. */
const deletionMarginMs = 60_000

/**
 * The first window that the live state holds for sure: it was seen whole, counted by the metric (`countedFromMs`), and
 * cannot be deleted yet. Infinity = none.
 */
export function liveFrom(
  { epoch, completeFromMs, clockMs }: Pick<WindowsRead, 'epoch' | 'completeFromMs' | 'clockMs'>,
  granularity: Granularity,
  countedFromMs: number
): number {
  if (epoch === 0) return Number.POSITIVE_INFINITY
  const { lengthMs, keepMs } = granularities[granularity]
  const keptFromMs = clockMs < 0 ? 0 : clockMs - lengthMs - keepMs + deletionMarginMs
  return Math.ceil(Math.max(completeFromMs, countedFromMs, keptFromMs) / lengthMs) * lengthMs
}

/** What the absence of a live window says: no event, none so far, or nothing, because its time was not read yet. */
export function absentWindow(startMs: number, lengthMs: number, clockMs: number): 'zero' | 'zero-so-far' | 'unknown' {
  if (startMs + lengthMs <= clockMs) return 'zero'
  return startMs <= clockMs ? 'zero-so-far' : 'unknown'
}

/** Number of the windows of `lengthMs` that begin in [fromMs, toMs) and not after `nowMs`. */
export function countStarts(fromMs: number, toMs: number, lengthMs: number, nowMs: number): number {
  const first = Math.ceil(fromMs / lengthMs) * lengthMs
  return Math.max(0, Math.ceil((Math.min(toMs, nowMs + 1) - first) / lengthMs))
}

/** Starts of the windows that `countStarts` counts; whoever lets others choose the span asks for their number first. */
export function startsIn(fromMs: number, toMs: number, lengthMs: number, nowMs: number): readonly number[] {
  const first = Math.ceil(fromMs / lengthMs) * lengthMs
  return Array.from({ length: countStarts(fromMs, toMs, lengthMs, nowMs) }, (_, index) => first + index * lengthMs)
}
