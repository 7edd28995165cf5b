// A circuit breaker over opossum: after too many failures a dependency is left alone for a while, then one call probes it.
//
//   closed    -> open       more than half of at least `volumeThreshold` calls of the last minute failed
//   open      -> half-open  30 s later; calls in between are refused at once
//   half-open -> closed     the one probe succeeded; calls beside it are refused
//   half-open -> open       the probe failed
//
// What opossum does otherwise than one would think, and this file makes good: refused calls count in its window and
// closing does not clear it, so a breaker that has just closed would need a thousand failures, or one, to open again: it
// is replaced by a new one. Its timeout abandons the work: each call has a signal of its own that aborts then. An error
// that its filter swallows counts as a success and closes it: errors that are no failures are values on their way through,
// and only those that are answers may close it.
import CircuitBreaker from 'opossum'
import { AppError } from '@millrace/kernel'

export type BreakerState = 'closed' | 'open' | 'half-open'

/** How one call ended; `refused`: it was not made. */
export type BreakerOutcome = 'success' | 'failure' | 'timeout' | 'refused'

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

type Ended = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: unknown }
type Call = (signal: AbortSignal) => Promise<Ended>

/** opossum opens above the threshold, not at it. */
const justBelowHalf = 49.99

/** A closed breaker. Its time is that of the global timers. */
export function createBreaker(options: BreakerOptions): Breaker {
  const { name, timeoutMs = 1_000, volumeThreshold = 20, resetMs = 30_000, judge } = options
  let state: BreakerState = 'closed'
  let isDisposed = false

  const change = (next: BreakerState): void => {
    if (state === next) return
    state = next
    options.onChange?.(next)
  }
  const make = (): CircuitBreaker<[Call, AbortSignal], Ended> => {
    const made = new CircuitBreaker((call: Call, signal: AbortSignal) => call(signal), {
      name,
      timeout: timeoutMs,
      errorThresholdPercentage: justBelowHalf,
      rollingCountTimeout: 60_000,
      rollingCountBuckets: 60,
      resetTimeout: resetMs,
      volumeThreshold,
      rollingPercentilesEnabled: false,
      enableSnapshots: false
    })
    made.on('open', () => change('open'))
    made.on('halfOpen', () => change('half-open'))
    made.on('close', () => {
      made.shutdown()
      if (!isDisposed) current = make()
      change('closed')
    })
    return made
  }
  let current = make()

  return {
    name,
    get state() {
      return state
    },
    async run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
      const controller = new AbortController()
      const call: Call = async (signal) => {
        try {
          return { ok: true, value: await work(signal) }
        } catch (error) {
          const verdict = judge(error)
          // Asked now: it may have opened, and be probed, since the call began.
          if (verdict === 'failure' || (verdict === 'nothing' && state === 'half-open')) throw error
          return { ok: false, error }
        }
      }
      const ended = await current.fire(call, controller.signal).catch((error: unknown) => {
        const ours = toError(error, name, timeoutMs)
        controller.abort(ours)
        options.onCall?.(outcomeOf(error))
        throw ours
      })
      options.onCall?.('success')
      if (!ended.ok) throw ended.error
      // What `work` resolved with, by way of opossum.
      return ended.value as T
    },
    [Symbol.dispose]: () => {
      isDisposed = true
      current.shutdown()
    }
  }
}

/** The errors of opossum by their codes, https://github.com/nodeshift/opossum; all others pass. */
function toError(error: unknown, name: string, timeoutMs: number | false): unknown {
  switch (codeOf(error)) {
    case 'EOPENBREAKER':
    case 'ESHUTDOWN':
      return new AppError('PIPE_BREAKER_OPEN', `${name} failed too often; it is left alone for a while`, {
        details: { breaker: name }
      })
    case 'ETIMEDOUT':
      return new AppError('PIPE_DEADLINE', `${name} did not answer within ${timeoutMs} ms`, {
        details: { breaker: name }
      })
    default:
      return error
  }
}

function outcomeOf(error: unknown): BreakerOutcome {
  const code = codeOf(error)
  if (code === 'ETIMEDOUT') return 'timeout'
  return code === 'EOPENBREAKER' || code === 'ESHUTDOWN' ? 'refused' : 'failure'
}

/** The code of an error of opossum; sockets have codes of the same names, but they arrive here as AppErrors. */
function codeOf(error: unknown): unknown {
  return error instanceof Error && !(error instanceof AppError) ? Reflect.get(error, 'code') : undefined
}
