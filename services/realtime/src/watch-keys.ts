// Connections end with the key that asked for their ticket. What keys have ended is asked for all of them at once.
import { toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import type { OpenSockets } from './sockets.ts'

export interface KeyWatchOptions {
  readonly sockets: OpenSockets
  /** Those of `keyIds` that are revoked, expired or gone. */
  readonly endedOf: (keyIds: readonly string[]) => Promise<ReadonlySet<string>>
  readonly clock: Clock
  readonly everyMs: number
  readonly log: Pick<Logger, 'info' | 'warn'>
  readonly signal: AbortSignal
}

/** Asks again and again until the signal aborts. While nobody answers, connections stay as they are. */
export async function watchKeys({ sockets, endedOf, clock, everyMs, log, signal }: KeyWatchOptions): Promise<void> {
  let isAway = false
  while (!signal.aborted) {
    const keyIds = sockets.keyIds()
    try {
      const ended = keyIds.size === 0 ? new Set<string>() : await endedOf([...keyIds])
      if (ended.size > 0) {
        log.info({ keys: ended.size }, 'keys have ended, and their connections with them')
        sockets.endKeys(ended)
      }
      isAway = false
    } catch (error) {
      if (!isAway) log.warn({ err: toError(error) }, 'keys of connections cannot be looked up')
      isAway = true
    }
    await clock.sleep(everyMs, signal).catch(() => undefined)
  }
}
