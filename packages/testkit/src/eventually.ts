// Waiting for a condition instead of sleeping for a guess.
import { systemClock, toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { throwIfGivenUp } from './given-up.ts'

export interface EventuallyOptions {
  /** Longest wait; default 30 s, which a machine that others use may take for what else takes a second. */
  readonly timeoutMs?: number
  /** Pause between two checks; default 50 ms. */
  readonly intervalMs?: number
  readonly clock?: Clock
}

/**
 * The value of `check` as soon as it neither throws nor returns `false` or `undefined`. After `timeoutMs` throws an
 * error that says what was awaited, with the last failure of the check as its cause. Throws at once when the run is given
 * up (given-up.ts).
 */
export async function eventually<T>(
  what: string,
  check: () => T | false | undefined | Promise<T | false | undefined>,
  options: EventuallyOptions = {}
): Promise<T> {
  const { timeoutMs = 30_000, intervalMs = 50, clock = systemClock } = options
  const started = clock.monotonic()
  let last: Error | undefined
  for (;;) {
    throwIfGivenUp()
    try {
      const value = await check()
      if (value !== false && value !== undefined) return value
      last = undefined
    } catch (thrown) {
      last = toError(thrown)
    }
    if (clock.monotonic() - started >= timeoutMs) {
      const why = last === undefined ? '' : `: ${last.message}`
      throw new Error(`not within ${timeoutMs} ms: ${what}${why}`, last === undefined ? undefined : { cause: last })
    }
    await clock.sleep(intervalMs)
  }
}
