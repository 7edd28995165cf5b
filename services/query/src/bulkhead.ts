// Bounds what reaches the engine: so many at once, so many waiting, each for so long. The rest is told to come back,
// which keeps the wait of those inside short (the bulkhead pattern).
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'

export interface BulkheadOptions {
  readonly running: number
  readonly queued: number
  readonly waitMs: number
  readonly clock: Clock
}

export interface Bulkhead {
  /**
   * Runs `work` when there is a place. Throws PIPE_CLICKHOUSE_UNAVAILABLE with `details.reason` = bulkhead when the queue
   * is full or the wait too long, and the signal's reason when it aborts while waiting.
   */
  run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>
  readonly inside: number
  readonly waiting: number
}

interface Waiter {
  readonly enter: () => void
  readonly leave: (error: unknown) => void
}

/** A bulkhead with nobody inside. */
export function createBulkhead(options: BulkheadOptions): Bulkhead {
  const { clock } = options
  const waiters = new Set<Waiter>()
  let inside = 0

  const waitForPlace = async (signal: AbortSignal): Promise<void> => {
    if (inside < options.running) {
      inside++
      return
    }
    if (waiters.size >= options.queued) throw full('too many queries wait already')
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter: Waiter = { enter: resolve, leave: reject }
    const onAbort = (): void => waiter.leave(signal.reason)
    waiters.add(waiter)
    signal.addEventListener('abort', onAbort, { once: true })
    using _timer = clock.timer(options.waitMs, () => waiter.leave(full(`no place within ${options.waitMs} ms`)))
    try {
      await promise
    } finally {
      waiters.delete(waiter)
      signal.removeEventListener('abort', onAbort)
    }
  }

  const leave = (): void => {
    const [next] = waiters
    if (next === undefined) inside--
    else {
      // The place goes to the next in line without becoming free in between.
      waiters.delete(next)
      next.enter()
    }
  }

  return {
    run: async (work, signal) => {
      signal.throwIfAborted()
      await waitForPlace(signal)
      try {
        return await work()
      } finally {
        leave()
      }
    },
    get inside() {
      return inside
    },
    get waiting() {
      return waiters.size
    }
  }
}

function full(message: string): AppError {
  return new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', message, { details: { reason: 'bulkhead' } })
}
