// Waits that end with their work or after a fixed time, whichever comes first. A race of promises would do the same, but
// it keeps each waiting request alive until its timer fires: measured, that made every request survive a collection.
import type { Clock } from '@millrace/kernel'

/** Resolves when `work` resolves, and after the time limit at the latest. `work` must not reject. */
export type BoundedWait = (work: Promise<unknown>) => Promise<void>

interface Waiter {
  /** Undefined once it was called. */
  resolve: (() => void) | undefined
  readonly dueMs: number
}

/** Waits of at most `limitMs`; one timer serves all of them. */
export function createBoundedWait(clock: Clock, limitMs: number): BoundedWait {
  /** In the order they are due. */
  let waiting: Waiter[] = []
  let isArmed = false

  const arm = (ms: number): void => {
    isArmed = true
    clock.timer(ms, sweep)
  }
  const sweep = (): void => {
    const nowMs = clock.monotonic()
    const due = waiting.filter(({ dueMs }) => dueMs <= nowMs)
    waiting = waiting.filter(({ resolve, dueMs }) => resolve !== undefined && dueMs > nowMs)
    for (const waiter of due) end(waiter)
    isArmed = false
    const [first] = waiting
    if (first !== undefined) arm(first.dueMs - nowMs)
  }
  return (work) =>
    new Promise((resolve) => {
      const waiter: Waiter = { resolve, dueMs: clock.monotonic() + limitMs }
      waiting.push(waiter)
      if (!isArmed) arm(limitMs)
      void work.then(() => end(waiter))
    })
}

function end(waiter: Waiter): void {
  waiter.resolve?.()
  waiter.resolve = undefined
}
