// What ends `millrace start`: the first signal asks for an orderly end, the second one ends everything at once. The end
// of the process that waits for us is a signal too, so nothing is left behind when it is killed.
import type { Clock } from '@millrace/kernel'

export interface StopSignals extends Disposable {
  /** Aborts at the first request to stop; the reason is a sentence part such as `SIGINT`. */
  readonly signal: AbortSignal
}

const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const watchEveryMs = 1_000
/** A Ctrl-C may arrive more than once: from the terminal, and handed on by npm and the bootstrap. */
const sameRequestMs = 200

/**
 * Listens from now on. `onSecond` runs at the second signal. `parentPid` is the process that started this one and waits
 * for it, if there is one.
 */
export function listenForStop(options: {
  readonly parentPid: number | undefined
  readonly clock: Clock
  readonly onSecond: () => void
}): StopSignals {
  const { parentPid, clock, onSecond } = options
  const stop = new AbortController()
  const watching = new AbortController()
  let askedAtMs = 0
  const ask = (reason: string): void => {
    if (!stop.signal.aborted) {
      askedAtMs = clock.monotonic()
      stop.abort(reason)
    } else if (clock.monotonic() - askedAtMs >= sameRequestMs) onSecond()
  }
  const handlers = names.map((name) => [name, () => ask(name)] as const)
  for (const [name, handler] of handlers) process.on(name, handler)

  const watchParent = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      if (process.ppid !== parentPid) return ask('the end of the process that started it')
      await clock.sleep(watchEveryMs, watching.signal)
    }
  }
  // Ends by itself when it is disposed.
  if (parentPid !== undefined) void watchParent().catch(() => {})
  return {
    signal: stop.signal,
    [Symbol.dispose]() {
      watching.abort()
      for (const [name, handler] of handlers) process.off(name, handler)
    }
  }
}
