// What became of one record. Every record ends in exactly one of these, and everything but `done` is counted.

/** Why a record needs no effect in this sink. Closed: it is a metric label. */
export const skipReasons = ['invalid', 'late', 'filtered', 'erased', 'sampled', 'expired'] as const
export type SkipReason = (typeof skipReasons)[number]

/** Why a record can never have its effect. Closed: it is a metric label and a dead-letter header. */
export const deadReasons = ['parse', 'schema', 'type', 'size', 'constraint', 'bug'] as const
export type DeadReason = (typeof deadReasons)[number]

export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'skip'; readonly reason: SkipReason }
  | { readonly kind: 'dead'; readonly reason: DeadReason; readonly cause: unknown }

/** The effect of the record is in the sink. */
export const done: Outcome = { kind: 'done' }

/** The record is rightly without effect here. */
export function skip(reason: SkipReason): Outcome {
  return { kind: 'skip', reason }
}

/** The record goes to the dead-letter topic with `cause`. */
export function dead(reason: DeadReason, cause: unknown): Outcome {
  return { kind: 'dead', reason, cause }
}
