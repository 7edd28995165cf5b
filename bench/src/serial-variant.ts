// Work that is done once after the other, as something to measure: an event is one time.
import type { LoadResult, Variant } from './harness.ts'
import { quantile } from './statistics.ts'

/** Does `once` again and again for the length of a window, at least once; `pids` are those whose CPU counts. */
export function serialVariant(name: string, pids: () => readonly number[], once: () => Promise<unknown>): Variant {
  const drive = async (ms: number): Promise<LoadResult> => {
    const startedAt = performance.now()
    const times: number[] = []
    do {
      const before = performance.now()
      await once()
      times.push(performance.now() - before)
    } while (performance.now() - startedAt < ms)
    const latencyMs = { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
    return { events: times.length, failures: 0, latencyMs, elapsedMs: performance.now() - startedAt }
  }
  return { name, pids, drive }
}
