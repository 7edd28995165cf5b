// SIGTERM and SIGINT ask for a graceful stop; the second one ends the process at once.

/** Resolves with the name of the first stop signal; `onSecond` runs at the second one. */
export function onStopSignal(onSecond: () => void): Promise<string> {
  return new Promise((resolve) => {
    let seen = false
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      process.on(name, () => {
        if (seen) return onSecond()
        seen = true
        resolve(name)
      })
    }
    // A closed pipe at the other end of the log is a request to stop, not a crash.
    process.stdout.on('error', () => resolve('EPIPE'))
  })
}
