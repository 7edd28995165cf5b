// For runs whose data is theirs alone, such as a benchmark: a request to stop ends what they started and removes it. There
// is nothing to keep, so nothing is asked to end in order.
import { rmSync } from 'node:fs'
import { systemClock } from '@millrace/kernel'
import { killDescendants } from './descendants.ts'
import { endEverything } from './end-everything.ts'
import { stackWipe } from './stack-control.ts'
import { listenForStop, waitingParent } from './stop-signals.ts'
import type { StopSignals } from './stop-signals.ts'

export interface EndOnStopOptions {
  /** Removed with everything in it. */
  readonly folder: string
  /** The data folder of the stack, in `folder`. */
  readonly dataDir: string
  readonly log: (line: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * From now on until it is disposed a request to stop kills every process that this one started, removes the folder and
 * exits with 1. The signal aborts first, so that what is starting gives up.
 */
export function endOnStop({ folder, dataDir, log, env }: EndOnStopOptions): StopSignals {
  const atOnce = (): void => {
    killDescendants()
    endEverything(dataDir)
  }
  const leave = (): never => {
    // Whoever was about to start something has done it by now, or never will.
    atOnce()
    try {
      // What has just been killed may still be writing there.
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    } finally {
      process.exit(1)
    }
  }
  const stop = listenForStop({ parentPid: waitingParent(env), clock: systemClock, onSecond: leave })
  stop.signal.addEventListener('abort', () => {
    log(`stopping (${String(stop.signal.reason)}): ending what was started`)
    // Whoever waits for a process that is killed now fails; that must not end this one before its work is done.
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) process.on(event, () => {})
    atOnce()
    void stackWipe(dataDir).then(leave, leave)
  })
  return stop
}
