// What the gateway does beside requests: it looks once whether the deduplication marks fit its settings, and reads
// its gauges.
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { DedupLease } from '@millrace/stores/dedup-lease'

/**
 * Resolves when the layout of the marks was found right; Redis being away is waited for, until `signal` aborts. Throws
 * PIPE_CONFIG_INVALID when another gateway writes marks that this one would not find.
 */
export async function verifyLayoutWhenReachable(
  lease: Pick<DedupLease, 'verifyLayout'>,
  clock: Clock,
  signal: AbortSignal,
  everyMs = 1_000
): Promise<void> {
  while (!signal.aborted) {
    try {
      return await lease.verifyLayout()
    } catch (error) {
      if (error instanceof AppError && error.code === 'PIPE_CONFIG_INVALID') throw error
    }
    await clock.sleep(everyMs, signal).catch(() => {})
  }
}

/** Calls `read` every `everyMs` until `signal` aborts: for gauges of what is held, which no event sets. */
export async function keepGauges(read: () => void, clock: Clock, signal: AbortSignal, everyMs = 10_000): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(everyMs, signal).catch(() => {})
    read()
  }
}
