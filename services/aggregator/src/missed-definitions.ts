// A version of a metric that had begun to count before this process could read it: PostgreSQL was away over its first
// hour. What was counted lacks it; the days are counted again from the warehouse, and an operator is told of the windows.
import type { Clock } from '@millrace/kernel'
import { toError } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import type { ProjectDefinition } from '@millrace/operations/metric-definitions'
import type { LiveProjects } from './live-projects.ts'
import type { aggregatorMetrics } from './metrics.ts'

export interface MissedDeps {
  readonly projects: Pick<LiveProjects, 'all'>
  /** Stores days (start, ms) to be recounted. */
  readonly queueDays: (project: string, days: readonly number[]) => Promise<void>
  readonly clock: Clock
  readonly log: Pick<Logger, 'error' | 'warn'>
  readonly metrics: BoundMetrics<typeof aggregatorMetrics>
}

const dayMs = 86_400_000

/** Tells of versions of the projects that this process holds; it has counted nothing of others. */
export function tellMissed(deps: MissedDeps): (missed: ProjectDefinition) => void {
  const { projects, queueDays, clock, log, metrics } = deps
  return ({ projectId, definition: { name, version, effectiveFromMs } }) => {
    if (!projects.all().some(({ project }) => project === projectId)) return
    const fields = { project: projectId, metric: name, version, effectiveFrom: new Date(effectiveFromMs).toISOString() }
    log.error(fields, 'events were counted without a metric that counts since before: build a new epoch')
    metrics.missedDefinitions.add(1)
    const days: number[] = []
    for (let day = effectiveFromMs - (effectiveFromMs % dayMs); day <= clock.now(); day += dayMs) days.push(day)
    queueDays(projectId, days).catch((error: unknown) =>
      log.warn({ ...fields, err: toError(error) }, 'days of a metric are not queued for a recount')
    )
  }
}
