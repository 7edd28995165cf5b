// Rate limits on the way of events: what has to wait is answered with `rate_limited`, the rest goes on.
import type { Acceptance, CheckedEvent, Gate, GateVerdicts, Retry } from './acceptance.ts'
import type { Limited, RateLimiter } from './rate-limiter.ts'

/** The gate of `limiter`; `onLimited` is told of each event that is turned away, with the limit that did it. */
export function createLimitGate(limiter: RateLimiter, onLimited: (scope: Limited['scope']) => void): Gate {
  return (project, events): GateVerdicts => {
    const verdicts = limiter.take(project, events)
    return verdicts?.map((limited, at) => {
      if (limited === undefined) return undefined
      onLimited(limited.scope)
      return toRetry(limited, events[at]!)
    })
  }
}

function toRetry({ retryAfterMs }: Limited, { eventId }: CheckedEvent): Acceptance {
  return { kind: 'retry', code: 'rate_limited', reason: 'rate_limited', eventId, retryAfterMs } satisfies Retry
}
