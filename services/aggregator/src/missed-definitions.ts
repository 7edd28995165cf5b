// A version of a metric that had begun to count before workers could read it: PostgreSQL was away over its first hour.
// What was counted lacks it; the days are counted again from the warehouse, and an operator is told of the windows.
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import type { ProjectDefinition } from '@millrace/operations/metric-definitions'
import type { aggregatorMetrics } from './metrics.ts'

export interface MissedDeps {
  /** Stores days (start, ms) to be recounted; may repeat itself. */
  readonly queueDays: (project: string, days: readonly number[]) => Promise<void>
  readonly clock: Clock
  readonly log: Pick<Logger, 'error'>
  readonly metrics: BoundMetrics<typeof aggregatorMetrics>
}

const dayMs = 86_400_000

/**
 * Queues the days of a missed version and tells of it, whoever holds its project now: who counted without it may be gone.
 * Throws what queueing the days throws; nothing is told then.
 */
export function tellMissed(deps: MissedDeps): (missed: ProjectDefinition) => Promise<void> {
  const { queueDays, clock, log, metrics } = deps
  return async ({ projectId, definition: { name, version, effectiveFromMs } }) => {
    const days: number[] = []
    for (let day = effectiveFromMs - (effectiveFromMs % dayMs); day <= clock.now(); day += dayMs) days.push(day)
    await queueDays(projectId, days)
    metrics.missedDefinitions.add(1)
    const effectiveFrom = new Date(effectiveFromMs).toISOString()
    log.error(
      { project: projectId, metric: name, version, effectiveFrom },
      'events were counted without a metric that counts since before: build a new epoch'
    )
  }
}
