// Time as a dependency: code that waits or reads the hour receives a Clock, so tests move it by hand.

/** The source of time. All values are milliseconds. */
export interface Clock {
  /** Wall-clock milliseconds since the Unix epoch; may jump. */
  now(): number
  /** Monotonic milliseconds from an arbitrary origin; never goes back. */
  monotonic(): number
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Runs `task` once after `ms` unless the returned handle is disposed before. */
  timer(ms: number, task: () => void): Disposable
}

/** The machine's clock. Its timers do not keep a process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error)
      const onAbort = (): void => {
        clearTimeout(handle)
        reject(signal?.reason as Error)
      }
      const handle = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }, ms)
      signal?.addEventListener('abort', onAbort, { once: true })
    }),
  timer: (ms, task) => {
    const handle = setTimeout(task, ms)
    handle.unref()
    return { [Symbol.dispose]: () => clearTimeout(handle) }
  }
}
