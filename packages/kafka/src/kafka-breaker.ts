// Tells when asking Kafka is in vain. Open after a time without any answer while work was under way; then one probe
// batch a second goes through, and the first answer closes it.

/** All times are monotonic milliseconds. */
export interface KafkaBreaker {
  readonly isOpen: () => boolean
  /** Work is under way again after there was none: silence counts from here. */
  begin(nowMs: number): void
  /** The broker stored or refused something. */
  answered(nowMs: number): void
  /** Opens it when the silence has lasted long enough; true when it opened by this call. */
  check(nowMs: number): boolean
  /** Whether an event for the free partition `key` may go ahead: always when closed, as part of a probe when open. */
  admits(key: object, nowMs: number): boolean
  /** The batch of the partition `key` was sent: a probe takes no more events. */
  sent(key: object): void
}

/** Creates a closed breaker. */
export function createKafkaBreaker(breakAfterMs: number, probeEveryMs: number): KafkaBreaker {
  let open = false
  let quietSinceMs = 0
  let probedAtMs = 0
  let probe: object | undefined
  return {
    isOpen: () => open,
    begin(nowMs) {
      quietSinceMs = nowMs
    },
    answered(nowMs) {
      quietSinceMs = nowMs
      open = false
      probe = undefined
    },
    check(nowMs) {
      if (open || nowMs - quietSinceMs < breakAfterMs) return false
      open = true
      probedAtMs = nowMs
      return true
    },
    admits(key, nowMs) {
      if (!open || probe === key) return true
      if (nowMs - probedAtMs < probeEveryMs) return false
      probedAtMs = nowMs
      probe = key
      return true
    },
    sent(key) {
      if (probe === key) probe = undefined
    }
  }
}
