// A clock that moves only when a test says so. Timers and sleepers fire in due order, each before time moves on.
import type { Clock } from './clock.ts'

interface Due {
  at: number
  order: number
  task: () => void
}

/** A Clock driven by `advance`; starts at `startMs`. */
export interface ManualClock extends Clock {
  /** Moves time by `ms`, firing what is due in order; microtasks run between firings. */
  advance(ms: number): Promise<void>
  /** Number of timers and sleepers that wait. */
  pending(): number
}

/** Creates a ManualClock at `startMs` (default 2026-01-01T00:00:00Z). */
export function createManualClock(startMs = Date.UTC(2026, 0, 1)): ManualClock {
  let now = startMs
  let order = 0
  const waiting = new Set<Due>()
  const add = (ms: number, task: () => void): Due => {
    const due = { at: now + Math.max(0, ms), order: order++, task }
    waiting.add(due)
    return due
  }
  const next = (until: number): Due | undefined => {
    let first: Due | undefined
    for (const due of waiting) {
      if (due.at > until) continue
      if (first === undefined || due.at < first.at || (due.at === first.at && due.order < first.order)) first = due
    }
    return first
  }
  return {
    now: () => now,
    monotonic: () => now - startMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason as Error)
        const onAbort = (): void => {
          waiting.delete(due)
          reject(signal?.reason as Error)
        }
        const due = add(ms, () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        })
        signal?.addEventListener('abort', onAbort, { once: true })
      }),
    timer: (ms, task) => {
      const due = add(ms, task)
      return { [Symbol.dispose]: () => void waiting.delete(due) }
    },
    async advance(ms) {
      const until = now + ms
      await settle()
      for (let due = next(until); due !== undefined; due = next(until)) {
        waiting.delete(due)
        now = due.at
        due.task()
        await settle()
      }
      now = until
      await settle()
    },
    pending: () => waiting.size
  }
}

/** Lets promise reactions that are already queued run, a bounded number of turns deep. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve()
}
