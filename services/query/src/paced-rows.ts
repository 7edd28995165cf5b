// Rows on their way to a client that takes them as it likes: what the engine takes is its time, what the client takes is not.
import { Readable } from 'node:stream'
import type { Clock } from '@millrace/kernel'

export interface PacedRows {
  /** The bytes of the source. Its end is that of the source, and the other way around. */
  readonly rows: Readable
  /** For how long the source was not asked, since the client had enough to read, ms. */
  idleMs(): number
}

/** The rows of `source`, which nobody else reads. */
export function paceRows(source: Readable, clock: Pick<Clock, 'monotonic'>): PacedRows {
  const parts: AsyncIterator<unknown> = source[Symbol.asyncIterator]()
  let idleMs = 0
  let unaskedSinceMs: number | undefined = clock.monotonic()
  const ask = (): void => {
    if (unaskedSinceMs !== undefined) idleMs += clock.monotonic() - unaskedSinceMs
    unaskedSinceMs = undefined
  }
  const rows = new Readable({
    read() {
      ask()
      parts.next().then(
        ({ done, value }) => {
          unaskedSinceMs = clock.monotonic()
          rows.push(done === true ? null : value)
        },
        // Its error is told below.
        () => rows.destroy()
      )
    },
    destroy(error, done) {
      ask()
      source.destroy()
      done(error)
    }
  })
  // Nobody may be asking for more when it breaks off, or be there at all.
  rows.on('error', () => undefined)
  source.once('error', (error) => rows.destroy(error))
  return { rows, idleMs: () => idleMs }
}
