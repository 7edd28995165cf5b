// Where a new epoch begins when the state is lost: early enough that its first full hour is seen whole.
import type { Timing } from './timing.ts'

/** The log is read from records appended at `fromMs` on; what begins before `completeFromMs` is not emitted. */
export interface FreshStart {
  readonly fromMs: number
  readonly completeFromMs: number
}

/** `committedAppendMs`: append times at the committed offsets of the partitions, as far as records are there. */
export function startAfterLoss(
  nowMs: number,
  committedAppendMs: readonly number[],
  { hourMs, latenessMs }: Timing
): FreshStart {
  const knownMs = Math.max(0, Math.min(nowMs, ...committedAppendMs))
  const completeFromMs = Math.floor(knownMs / hourMs) * hourMs
  return { fromMs: completeFromMs - latenessMs, completeFromMs }
}
