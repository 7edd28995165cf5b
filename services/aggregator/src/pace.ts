// How often a project is asked whether values wait: at once while events come, less and less while nothing does.
import type { Clock } from '@millrace/kernel'
import type { LiveProject } from './live-projects.ts'

export interface PaceOptions {
  readonly clock: Clock
  readonly everyMs: number
  /** Other members may have applied something: never rarer than this. */
  readonly longestMs: number
  /** Resolves with whether there was anything to do. */
  readonly work: (live: LiveProject) => Promise<boolean>
}

/** `work`, left out while it is not its time. */
export function createPaced({ clock, everyMs, longestMs, work }: PaceOptions): (live: LiveProject) => Promise<void> {
  const paces = new WeakMap<LiveProject, { atMs: number; waitMs: number; applied: number }>()
  return async function paced(live) {
    const pace = paces.get(live) ?? { atMs: 0, waitMs: everyMs, applied: -1 }
    paces.set(live, pace)
    const { applied } = live
    if (applied === pace.applied && clock.monotonic() < pace.atMs) return
    const isBusy = await work(live)
    pace.waitMs = isBusy || applied !== pace.applied ? everyMs : Math.min(longestMs, pace.waitMs * 2)
    pace.applied = applied
    pace.atMs = clock.monotonic() + pace.waitMs
  }
}
