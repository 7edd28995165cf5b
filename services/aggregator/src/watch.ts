// Every owner compares what Redis holds with where it stands. A position other than its own means that Redis went back
// or that another member is at work; a partition without new events would not notice either by itself.
import type { Consumer } from '@millrace/consumer'
import type { Commit } from '@millrace/kafka'
import type { BoundMetrics } from '@millrace/observability'
import type { LiveProject, LiveProjects } from './live-projects.ts'
import type { aggregatorMetrics } from './metrics.ts'

export interface WatchDeps {
  readonly projects: LiveProjects
  readonly consumer: Pick<Consumer, 'rewind'>
  /** Forgets what was counted lately: it may be lost. */
  readonly forget: () => void
  readonly metrics: BoundMetrics<typeof aggregatorMetrics>
}

/** Compares epoch and positions of one project, once. Throws what reading them throws. */
export async function watchProject(deps: WatchDeps, live: LiveProject): Promise<void> {
  const { projects, consumer, forget, metrics } = deps
  const { epoch, halted } = live
  const moved = await projects.reload(live)
  if (live.halted !== undefined) return
  const isOther = live.epoch !== epoch || halted !== undefined
  if (!isOther && moved.length === 0) return
  forget()
  metrics.rewinds.add(moved.length, { reason: isOther ? 'epoch' : 'watch' })
  consumer.rewind(
    moved.map((partition): Commit => ({
      topic: live.topic,
      partition,
      offset: live.owned.get(partition)?.position ?? 0n
    }))
  )
}
