// Long work in pieces. Promises that are already settled never let timers and sockets have a turn, so a loop over what was
// fetched can hold up the process for as long as it takes: between two pieces it asks here.
import { setImmediate } from 'node:timers/promises'
import { systemClock } from './clock.ts'

/**
 * Makes a pause for everybody who works on one thread: it lets the others have a turn when the last one was more than
 * `longestMs` ago, and costs nothing otherwise. Awaiting nothing is fine.
 */
export function createBreathe(longestMs: number, nowMs: () => number): () => Promise<void> | undefined {
  let turnEndsAtMs = 0
  return () => {
    if (nowMs() < turnEndsAtMs) return undefined
    return setImmediate().then(() => {
      turnEndsAtMs = nowMs() + longestMs
    })
  }
}

/** The pause of this thread. */
export const breathe = createBreathe(8, () => systemClock.monotonic())
