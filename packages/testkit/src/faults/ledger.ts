// What the load client was told, on disk: one JSON line per answer, durable before the client acts on it. The ledger is
// the only witness of a promise, so it must survive whatever the run does to the machine's processes.
import { open, readFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'

/** `event`: the first sending; `repeat`: sent again on purpose after an acknowledgement; `bad`: must be refused. */
export type SendKind = 'event' | 'repeat' | 'bad'

/** How one attempt ended: with a response, with a broken connection, or with no answer in time. */
export type AttemptEnd = 'answered' | 'cut' | 'timeout'

/** One attempt to send one event. */
export interface LedgerEntry {
  readonly eventId: string
  readonly kind: SendKind
  /** Counts from 1 within one sending; a deliberate repeat starts at 1 again. */
  readonly attempt: number
  /** When the request was sent, in nanoseconds on the client's monotonic clock. */
  readonly sentNs: string
  readonly tookMs: number
  readonly end: AttemptEnd
  /** HTTP status; 0 without an answer. */
  readonly status: number
  /**
   * `status` of the body (`accepted`, `duplicate`) or `code` of a problem; without an answer the error of the connection
   * (`ECONNRESET at first use` on one that had carried no answer before). Of an event in a batch, what its item says.
   */
  readonly code: string
  /** First 16 hex digits of the SHA-256 of the body sent. */
  readonly bodyHash: string
}

export interface Ledger extends AsyncDisposable {
  readonly file: string
  /** Resolves when the entry is on disk (fsync). */
  append(entry: LedgerEntry): Promise<void>
}

/** The digest that a ledger keeps of a body or a value. */
export function bytesHash(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16)
}

/** Opens a new ledger; entries that wait while a write is under way share the next fsync. */
export async function openLedger(file: string): Promise<Ledger> {
  const handle = await open(file, 'wx')
  let waiting: { line: string; written: PromiseWithResolvers<void> }[] = []
  let writing: Promise<void> | undefined
  const flush = async (): Promise<void> => {
    while (waiting.length > 0) {
      const group = waiting
      waiting = []
      try {
        await handle.appendFile(group.map(({ line }) => line).join(''))
        await handle.datasync()
        for (const { written } of group) written.resolve()
      } catch (error) {
        for (const { written } of group) written.reject(error)
      }
    }
    writing = undefined
  }
  return {
    file,
    append(entry) {
      const written = Promise.withResolvers<void>()
      waiting.push({ line: `${JSON.stringify(entry)}\n`, written })
      writing ??= flush()
      return written.promise
    },
    async [Symbol.asyncDispose]() {
      await writing
      await handle.close()
    }
  }
}

/** The entries of a ledger in the order they were written; a torn last line of a killed client is left out. */
export async function readLedger(file: string): Promise<LedgerEntry[]> {
  const lines = (await readFile(file, 'utf8')).split('\n')
  // Complete lines end with a newline, so what follows the last one is empty or torn.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as LedgerEntry)
}
