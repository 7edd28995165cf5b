// SIGTERM and SIGINT ask for a graceful stop; the second one ends the process at once. A worker is asked by its primary,
// too: a terminal sends its signal to both, so the message must not count as a second one.
import { isPeerMessage } from './peers.ts'
import type { Link } from './peers.ts'

/** Resolves with the name of the first request to stop; `onSecond` runs at the second signal. */
export function onStopSignal(onSecond: () => void, link?: Link): Promise<string> {
  return new Promise((resolve) => {
    let signals = 0
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      process.on(name, () => {
        signals++
        if (signals > 1) return onSecond()
        resolve(name)
      })
    }
    link?.onMessage((message) => {
      if (isPeerMessage(message) && message.millrace === 'stop') resolve('stop')
    })
    // A closed pipe at the other end of the log is a request to stop, not a crash.
    process.stdout.on('error', () => resolve('EPIPE'))
  })
}
