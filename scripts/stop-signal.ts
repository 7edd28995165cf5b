// One stop for a long task of the repository: the first request asks for an orderly end, a later one ends the process
// and all that it started.
import { systemClock } from '@millrace/kernel'
import { killDescendants } from '@millrace/local-stack/descendants'
import { listenForStop, waitingParent } from '@millrace/local-stack/stop-signals'

export interface Stopping extends Disposable {
  /** Aborts at the first request to stop; its reason is an Error that says which. */
  readonly signal: AbortSignal
}

export interface StopOptions {
  /** Runs at a second request, when everything below this process is dead and before the process ends. */
  readonly atOnce?: () => void
  /** The orderly end may take this long, then it is as at a second request; default: as long as it takes. */
  readonly orderlyMs?: number
}

/** Listens from now on until it is disposed; `say` is told what happens. */
export function stopSignal(say: (line: string) => void, { atOnce, orderlyMs }: StopOptions = {}): Stopping {
  const stopping = new AbortController()
  const leave = (): never => {
    killDescendants()
    atOnce?.()
    return process.exit(1)
  }
  const stop = listenForStop({ parentPid: waitingParent(process.env), clock: systemClock, onSecond: leave })
  const open = new DisposableStack()
  open.use(stop)
  stop.signal.addEventListener('abort', () => {
    const reason = String(stop.signal.reason)
    say(`stopping (${reason}); once more to leave at once`)
    if (orderlyMs !== undefined) open.use(systemClock.timer(orderlyMs, leave))
    stopping.abort(new Error(`ended by ${reason}`))
  })
  return { signal: stopping.signal, [Symbol.dispose]: () => open.dispose() }
}
