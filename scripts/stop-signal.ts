// One stop for a long task: the first Ctrl-C or SIGTERM asks for an orderly end, a later one ends the process at once.
// A signal sent to a whole process group arrives twice, directly and from the parent that hands it on, so signals
// within a second of the first are the same one.
import { systemClock } from '@millrace/kernel'

const sameSignalMs = 1_000
const watchEveryMs = 1_000

interface StopOptions {
  /** Ends the process at once, at a later signal; default: exit code 1. */
  readonly atOnce?: () => void
  /** The orderly end may take this long before it is at once, too; default: as long as it takes. */
  readonly orderlyMs?: number
  /** The process that started this one and waits for it: its end is a signal, too. */
  readonly parentPid?: number | undefined
}

/** Aborts at the first stop signal; `say` is told what happens. */
export function stopSignal(say: (line: string) => void, options: StopOptions = {}): AbortSignal {
  const { atOnce = () => process.exit(1), orderlyMs, parentPid } = options
  const stopping = new AbortController()
  let firstAtMs = 0
  const stop = (why: string): void => {
    if (stopping.signal.aborted) {
      if (systemClock.monotonic() - firstAtMs > sameSignalMs) atOnce()
      return
    }
    firstAtMs = systemClock.monotonic()
    say('stopping; once more to leave at once')
    stopping.abort(new Error(`ended by ${why}`))
    if (orderlyMs !== undefined) systemClock.timer(orderlyMs, atOnce)
  }
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop(name))
  const watch = (): void => {
    if (stopping.signal.aborted) return
    if (process.ppid === parentPid) systemClock.timer(watchEveryMs, watch)
    else stop('the end of the process that started it')
  }
  if (parentPid !== undefined) watch()
  return stopping.signal
}
