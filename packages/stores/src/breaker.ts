// A circuit breaker over opossum: after too many failures a dependency is left alone for a while, then one call probes it.
//
//   closed    -> open       more than half of at least `volumeThreshold` calls of the last minute failed
//   open      -> half-open  30 s later; calls in between are refused at once
//   half-open -> closed     the one probe succeeded; calls beside it are refused
//   half-open -> half-open  the caller of the probe gave up: nothing is known, and the next call is the probe
//   half-open -> open       the probe failed, or callers of probes had waited 3 s in all and gave up: that is silence, and
//                           who comes next is refused and does not hang as well
//
// What opossum does otherwise than one would think, and this file makes good: refused calls count in its window and
// closing does not clear it, so a breaker that has just closed would need a thousand failures, or one, to open again: it
// is replaced by a new one. Its timeout abandons the work: each call has a signal of its own that aborts then. An error
// that its filter swallows counts as a success and closes it. And every call counts as made when it begins: those whose
// callers gave up would stand among the good ones, and enough of them keep it closed over a dependency that is silent. So
// while it is closed calls run beside it, and it is told how they ended; only the probe runs inside of it. A probe has to
// end in one of two ways; after one that tells nothing it is replaced, too, by one that is half-open from the start.
import CircuitBreaker from 'opossum'
import { AppError, systemClock } from '@millrace/kernel'

export type BreakerState = 'closed' | 'open' | 'half-open'

/** How one call ended; `refused`: it was not made; `gone`: its caller gave up, which counts for nothing in a closed one. */
export type BreakerOutcome = 'success' | 'failure' | 'timeout' | 'refused' | 'gone'

/**
 * What an error says of the dependency: that it is in trouble; that it answered; or nothing, because its caller gave up,
 * which counts for neither, but closes no breaker.
 */
export type BreakerVerdict = 'failure' | 'answer' | 'nothing'

export interface BreakerOptions {
  /** Shown in errors. */
  readonly name: string
  /** A call without an answer for this long has failed; false: calls have a deadline of their own. Default 1 s. */
  readonly timeoutMs?: number | false
  /** Calls of the last minute before it may open. Default 20. */
  readonly volumeThreshold?: number
  readonly judge: (error: unknown) => BreakerVerdict
  /** Default 30 s. */
  readonly resetMs?: number
  readonly onChange?: (state: BreakerState) => void
  readonly onCall?: (outcome: BreakerOutcome) => void
}

export interface Breaker extends Disposable {
  readonly name: string
  readonly state: BreakerState
  /**
   * Runs `work` unless the breaker is open; its signal aborts when the call has timed out. Throws what `work` throws,
   * PIPE_BREAKER_OPEN when it was not run, PIPE_DEADLINE when it took too long.
   */
  run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>
}

type Call = () => Promise<void>

/** opossum opens above the threshold, not at it. */
const justBelowHalf = 49.99
/** Probes whose callers waited for so long, in all, and gave up have failed. */
const silentMs = 3_000

/** A closed breaker. Its time is that of the global timers. */
export function createBreaker(options: BreakerOptions): Breaker {
  const { name, timeoutMs = 1_000, volumeThreshold = 20, resetMs = 30_000, judge } = options
  let state: BreakerState = 'closed'
  /** What the callers of probes waited for nothing since it is half-open. */
  let waitedMs = 0
  let isDisposed = false

  const change = (next: BreakerState): void => {
    if (state === next) return
    state = next
    waitedMs = 0
    options.onChange?.(next)
  }
  const make = (isHalfOpen = false): CircuitBreaker<[Call], void> => {
    const settings = {
      name,
      // Documented, but left out of its types.
      state: { closed: !isHalfOpen, halfOpen: isHalfOpen },
      timeout: false as const,
      errorThresholdPercentage: justBelowHalf,
      rollingCountTimeout: 60_000,
      rollingCountBuckets: 60,
      resetTimeout: resetMs,
      volumeThreshold,
      rollingPercentilesEnabled: false,
      enableSnapshots: false
    }
    const made = new CircuitBreaker((call: Call) => call(), settings)
    made.on('open', () => change('open'))
    made.on('halfOpen', () => change('half-open'))
    made.on('close', () => {
      replace(false)
      change('closed')
    })
    return made
  }
  let current = make()
  const replace = (isHalfOpen: boolean): void => {
    current.shutdown()
    if (!isDisposed) current = make(isHalfOpen)
  }

  /** Tells how a call ended that began while `asked` was closed: unless that has opened since, or was closed anew. */
  const tell = async (asked: typeof current, failure: unknown): Promise<void> => {
    if (state !== 'closed' || asked !== current) return
    const ended: Call = failure === undefined ? () => Promise.resolve() : () => Promise.reject(toReason(failure))
    await asked.fire(ended).catch(() => undefined)
  }
  const beside = async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    const asked = current
    try {
      const value = await timed(work, name, timeoutMs)
      // Nothing opens by it, so nobody waits for it.
      void tell(asked, undefined)
      options.onCall?.('success')
      return value
    } catch (error) {
      const outcome = outcomeOf(error, judge)
      if (outcome !== 'gone') await tell(asked, outcome === 'success' ? undefined : error)
      options.onCall?.(outcome)
      throw error
    }
  }
  /** One call decides; those beside it are refused. One whose caller gives up soon leaves it to the next. */
  const probe = async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    let ended: { readonly value: T } | { readonly error: unknown } | undefined
    const call: Call = async () => {
      const begunAtMs = systemClock.monotonic()
      try {
        ended = { value: await timed(work, name, timeoutMs) }
      } catch (error) {
        ended = { error }
        const outcome = outcomeOf(error, judge)
        if (outcome === 'gone') waitedMs += systemClock.monotonic() - begunAtMs
        if (outcome === 'gone' && waitedMs < silentMs) replace(true)
        else if (outcome !== 'success') throw error
      }
    }
    const refusal: unknown = await current.fire(call).catch((error: unknown) => error)
    if (ended === undefined) {
      options.onCall?.('refused')
      throw toRefusal(refusal, name)
    }
    options.onCall?.('error' in ended ? outcomeOf(ended.error, judge) : 'success')
    if ('error' in ended) throw ended.error
    return ended.value
  }

  return {
    name,
    get state() {
      return state
    },
    run: (work) => (state === 'closed' && !isDisposed ? beside(work) : probe(work)),
    [Symbol.dispose]: () => {
      isDisposed = true
      current.shutdown()
    }
  }
}

class TimedOut extends AppError {}

/** `work`, whose signal aborts with the PIPE_DEADLINE that is thrown when it takes too long. */
async function timed<T>(
  work: (signal: AbortSignal) => Promise<T>,
  name: string,
  timeoutMs: number | false
): Promise<T> {
  const controller = new AbortController()
  if (timeoutMs === false) return await work(controller.signal)
  const { promise, reject } = Promise.withResolvers<never>()
  using _timer = systemClock.timer(timeoutMs, () => {
    const details = { breaker: name }
    const late = new TimedOut('PIPE_DEADLINE', `${name} did not answer within ${timeoutMs} ms`, { details })
    controller.abort(late)
    reject(late)
  })
  return await Promise.race([work(controller.signal), promise])
}

function outcomeOf(error: unknown, judge: BreakerOptions['judge']): Exclude<BreakerOutcome, 'refused'> {
  if (error instanceof TimedOut) return 'timeout'
  const verdict = judge(error)
  return verdict === 'failure' ? 'failure' : verdict === 'answer' ? 'success' : 'gone'
}

/** What it throws for a call that it did not make, by its codes, https://github.com/nodeshift/opossum */
function toRefusal(error: unknown, name: string): unknown {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
  if (code !== 'EOPENBREAKER' && code !== 'ESHUTDOWN') return error
  return new AppError('PIPE_BREAKER_OPEN', `${name} failed too often; it is left alone for a while`, {
    details: { breaker: name }
  })
}

/** opossum wants an error to tell of. */
function toReason(failure: unknown): Error {
  return failure instanceof Error ? failure : new Error(String(failure))
}
