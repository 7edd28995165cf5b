// One stop for a long task: the first Ctrl-C or SIGTERM asks for an orderly end, a later one ends the process at once.
// A signal sent to a whole process group arrives twice, directly and from the parent that hands it on, so signals
// within a second of the first are the same one.
import { systemClock } from '@millrace/kernel'

const sameSignalMs = 1_000

/** Aborts at the first stop signal; `say` is told what happens. */
export function stopSignal(say: (line: string) => void): AbortSignal {
  const stopping = new AbortController()
  let firstAtMs = 0
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (!stopping.signal.aborted) {
        firstAtMs = systemClock.monotonic()
        say('stopping; once more to leave at once')
        stopping.abort(new Error(`ended by ${name}`))
      } else if (systemClock.monotonic() - firstAtMs > sameSignalMs) process.exit(1)
    })
  }
  return stopping.signal
}
