// What is promised to clients that keep sending says nothing of a client that a busy machine kept from it.
import { monitorEventLoopDelay } from 'node:perf_hooks'

/**
 * The result of the first of at most three runs of `attempt` during which this process never stood still for `limitMs`
 * or more; of the last run when all did.
 */
export async function withoutStall<T>(limitMs: number, attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    const delays = monitorEventLoopDelay({ resolution: 10 })
    delays.enable()
    const result = await attempt()
    delays.disable()
    if (delays.max < limitMs * 1e6 || tries === 3) return result
  }
}
