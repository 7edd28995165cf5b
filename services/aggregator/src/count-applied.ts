// What a call of the script added, and who is halted, as series.
import type { Applied } from '@millrace/aggregation/apply-batch'
import type { BoundMetrics } from '@millrace/observability'
import type { HaltReason } from './live-projects.ts'
import type { aggregatorMetrics } from './metrics.ts'

type Metrics = BoundMetrics<typeof aggregatorMetrics>

/** Counts each applied call. */
export function countApplied(metrics: Metrics): (applied: Applied) => void {
  const counted = metrics.applied.child({ outcome: 'counted' })
  const others = (['duplicates', 'late', 'closed'] as const).map((name) => ({
    name,
    add: metrics.applied.child({ outcome: name === 'duplicates' ? 'duplicate' : name })
  }))
  return (applied) => {
    counted(applied.events)
    metrics.calls.add(applied.calls)
    for (const { name, add } of others) if (applied[name] > 0) add(applied[name])
    if (applied.expired > 0) metrics.expired.add(applied.expired)
    if (applied.badValues > 0) metrics.badValues.add(applied.badValues)
  }
}

/** Shows how many projects are halted, by why. */
export function showHalted(metrics: Metrics): (counts: ReadonlyMap<HaltReason, number>) => void {
  return (counts) => {
    for (const [reason, count] of counts) metrics.halted.set(count, { reason })
  }
}
