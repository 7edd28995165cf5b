// The lengths of time of the aggregation protocol in one value, so that tests may run it in a small world.

/** All in milliseconds. */
export interface Timing {
  /** An event appended later than this after its own time is late and touches no live value. */
  readonly latenessMs: number
  /** What clocks of brokers and of this process may differ by. */
  readonly marginMs: number
  /** Span of one set of counted ids. */
  readonly hourMs: number
  /** A set of counted ids stays this long after its last id could come. */
  readonly seenKeepMs: number
  /** A session without events for this long is over. */
  readonly sessionIdleMs: number
  /** A session is kept this long after its last event. */
  readonly sessionKeepMs: number
}

const minuteMs = 60_000

/** What runs in production; a change is a change of every live value, so it comes with a new epoch. */
export const liveTiming: Timing = {
  latenessMs: 10 * minuteMs,
  marginMs: 5_000,
  hourMs: 60 * minuteMs,
  seenKeepMs: 60 * minuteMs,
  sessionIdleMs: 30 * minuteMs,
  sessionKeepMs: 90 * minuteMs
}
