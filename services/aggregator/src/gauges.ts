// Gauges that no event sets, read from Redis now and then.
import type { RedisEpochs } from '@millrace/aggregation/redis-epochs'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import type { LiveProject } from './live-projects.ts'
import type { aggregatorMetrics } from './metrics.ts'

export interface GaugesDeps {
  readonly epochs: Pick<RedisEpochs, 'inspect'>
  readonly clock: Clock
  readonly metrics: BoundMetrics<typeof aggregatorMetrics>
}

/** Sets the gauges for the projects that this process leads and the partitions that it holds. */
export async function readGauges({ epochs, clock, metrics }: GaugesDeps, held: readonly LiveProject[]): Promise<void> {
  let [windows, sessions, oldestMs] = [0, 0, clock.now()]
  for (const { project, epoch, owned } of held) {
    const found = (await epochs.inspect(project)).epochs.get(epoch)
    if (found === undefined) continue
    for (const partition of owned.keys()) {
      const clockMs = found.partitions[partition]?.clockMs ?? -1
      if (clockMs >= 0) oldestMs = Math.min(oldestMs, clockMs)
    }
    if (!owned.has(0)) continue
    windows += Math.max(0, found.sizes.dirtyWindows)
    sessions += Math.max(0, found.sizes.dirtySessions)
  }
  metrics.dirty.set(windows, { what: 'windows' })
  metrics.dirty.set(sessions, { what: 'sessions' })
  metrics.clockLag.set((clock.now() - oldestMs) / 1_000)
}
