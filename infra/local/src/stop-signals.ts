// What ends a long task (`millrace start`, the tests, a benchmark): the first signal asks for an orderly end, the second
// one ends everything at once. The end of the process that waits for us and a closed output are a request, too, so
// nothing is left behind when npm is killed or the terminal is closed.
import type { Clock } from '@millrace/kernel'

export interface StopSignals extends Disposable {
  /** Aborts at the first request to stop; the reason is a sentence part such as `SIGINT`. */
  readonly signal: AbortSignal
}

const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const watchEveryMs = 1_000
/** One request may arrive more than once: from the terminal, and handed on by npm and the bootstrap when they have time. */
const sameRequestMs = 1_000

/** The process that started this one and waits for it, as scripts/bootstrap.mjs says it in `env`; undefined without one. */
export function waitingParent(env: Readonly<Record<string, string | undefined>>): number | undefined {
  return Number(env['MILLRACE_PARENT_PID']) === process.ppid ? process.ppid : undefined
}

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
  const askOnce = (reason: string): void => {
    if (stop.signal.aborted) return
    askedAtMs = clock.monotonic()
    stop.abort(reason)
  }
  const ask = (reason: string): void => {
    if (!stop.signal.aborted) askOnce(reason)
    else if (clock.monotonic() - askedAtMs >= sameRequestMs) onSecond()
  }
  const handlers = names.map((name) => [name, () => ask(name)] as const)
  for (const [name, handler] of handlers) process.on(name, handler)
  // Every line that is written to a terminal that is gone fails.
  const onOutputError = (): void => askOnce('its output is closed')
  const outputs = [process.stdout, process.stderr]
  for (const output of outputs) output.on('error', onOutputError)

  const watchParent = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      if (process.ppid !== parentPid) return askOnce('the end of the process that started it')
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
      for (const output of outputs) output.off('error', onOutputError)
    }
  }
}
