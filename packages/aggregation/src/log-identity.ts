// Whether the log is still the one that the position was taken in. Checked on assignment, on a gap and when an offset is
// out of range: a topic that was deleted and created again has the same name and other records under the same offsets.
import type { PartitionState } from './state.ts'

/** What the broker says of one partition. */
export interface LogView {
  readonly start: bigint
  readonly end: bigint
  /** Append time of the record before the position; undefined when it is not there to be read. */
  readonly appendedBeforeMs: number | undefined
}

export type LogVerdict =
  | { readonly kind: 'same' }
  /** Retention took records that were not applied: `from` becomes the start of the log, `lost` is counted. */
  | { readonly kind: 'expired'; readonly from: bigint; readonly lost: bigint }
  /** Another log: stop and alarm; an operator begins a new epoch. */
  | { readonly kind: 'other' }

/** Compares a stored position and its fingerprint with the log. */
export function compareLog({ position, appendedAtMs }: PartitionState, log: LogView): LogVerdict {
  if (log.end < position) return { kind: 'other' }
  if (position < log.start) return { kind: 'expired', from: log.start, lost: log.start - position }
  if (position === log.start || appendedAtMs < 0 || log.appendedBeforeMs === undefined) return { kind: 'same' }
  return log.appendedBeforeMs === appendedAtMs ? { kind: 'same' } : { kind: 'other' }
}
