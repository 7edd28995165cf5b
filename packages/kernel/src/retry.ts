// Waiting between attempts, and deadlines around them. The only place that sleeps for a retry.
import { AppError, isTransient } from './errors.ts'
import type { Clock } from './clock.ts'

/** Exponential backoff: `baseMs`, doubled per attempt up to `capMs`, each spread by +-`jitter` (0 to 1). */
export interface BackoffPolicy {
  readonly baseMs: number
  readonly capMs: number
  readonly jitter: number
}

/** The wait before attempt `attempt + 1`, in milliseconds; `attempt` counts from 1. `random` returns [0, 1). */
export function backoffMs(policy: BackoffPolicy, attempt: number, random: () => number = Math.random): number {
  const plain = Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(attempt - 1, 30))
  return Math.max(0, Math.round(plain * (1 - policy.jitter + 2 * policy.jitter * random())))
}

export interface RetryOptions {
  readonly policy: BackoffPolicy
  readonly clock: Clock
  readonly signal?: AbortSignal
  /** Attempts at most, the first included. */
  readonly attempts: number
  /** Told before each wait. */
  readonly onRetry?: (error: unknown, attempt: number, waitMs: number) => void
}

/**
 * Runs `work` until it resolves. Transient errors are tried again; any other error, the last attempt's error, and the
 * signal's reason are thrown.
 */
export async function retry<T>(work: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    options.signal?.throwIfAborted()
    try {
      return await work(attempt)
    } catch (error) {
      if (!isTransient(error) || attempt >= options.attempts) throw error
      const waitMs = backoffMs(options.policy, attempt)
      options.onRetry?.(error, attempt, waitMs)
      await options.clock.sleep(waitMs, options.signal)
    }
  }
}

/** Rejects with PIPE_DEADLINE when `work` has not settled after `ms`. The work itself goes on; `what` names it. */
export async function withDeadline<T>(work: Promise<T>, ms: number, clock: Clock, what: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  using _timer = clock.timer(ms, () => reject(new AppError('PIPE_DEADLINE', `${what} did not end within ${ms} ms`)))
  return await Promise.race([work, promise])
}
