// A run that is given up must not sit out the waits of the case in hand, and nobody hands a signal through every helper: it
// goes along with the asynchronous calls of the case.
import { AsyncLocalStorage } from 'node:async_hooks'

const signals = new AsyncLocalStorage<AbortSignal>()

/** Runs `work`, in which `eventually` throws the reason of `signal` from the moment that it is aborted. */
export function unlessGivenUp<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return signals.run(signal, work)
}

/** Throws the reason when the run that this call belongs to is given up. */
export function throwIfGivenUp(): void {
  signals.getStore()?.throwIfAborted()
}
