// What the gateway does beside requests: it looks once whether the deduplication marks fit its settings, and tells what
// an event costs.
import { AppError, toError } from '@millrace/kernel'
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

/** Readings of the process: events handled and CPU microseconds used since its start. */
export interface CostReading {
  readonly events: number
  readonly cpuUs: number
}

/** CPU of this process so far, in microseconds. */
export function cpuUs(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Calls `report` with the CPU microseconds per event of each period in which there were events. */
export async function reportCost(
  read: () => CostReading,
  report: (cpuUsPerEvent: number) => void,
  clock: Clock,
  signal: AbortSignal,
  everyMs = 10_000
): Promise<void> {
  let before = read()
  while (!signal.aborted) {
    await clock.sleep(everyMs, signal).catch((error: unknown) => void toError(error))
    const after = read()
    if (after.events > before.events) report((after.cpuUs - before.cpuUs) / (after.events - before.events))
    before = after
  }
}

/** A health check of Kafka whose admin client is opened by the first check that succeeds: Kafka may be down at start. */
export function createBrokerCheck(open: () => Promise<{ brokerCount(): Promise<number> }>): () => Promise<number> {
  let opening: ReturnType<typeof open> | undefined
  return async () => {
    opening ??= open()
    opening.catch(() => {
      opening = undefined
    })
    return await (await opening).brokerCount()
  }
}
