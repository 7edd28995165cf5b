// What an event costs: CPU microseconds of this process by the events it handled, over each period with events.
import type { Clock } from '@millrace/kernel'
import { bindMetrics, cpuCostMetrics } from './metrics.ts'
import type { Registry } from './metrics.ts'

export interface CpuCost {
  /** Counts events that were handled. */
  count(events: number): void
  /** `handle` that counts the items of each batch it has handled. */
  counting<B extends { readonly items: readonly unknown[] }, A extends readonly unknown[], R>(
    handle: (batch: B, ...rest: A) => Promise<R>
  ): (batch: B, ...rest: A) => Promise<R>
}

export interface CpuCostOptions {
  /** Label of the series: what this process does with an event. */
  readonly stage: string
  readonly registry: Registry
  readonly clock: Clock
  /** Ends the reports. */
  readonly signal: AbortSignal
  /** CPU microseconds since the start of the process. */
  readonly cpuUs?: () => number
  readonly everyMs?: number
}

/** Reports `analytics_cpu_us_per_event` every `everyMs` until `signal` aborts. The whole process counts as the stage. */
export function startCpuCost(options: CpuCostOptions): CpuCost {
  const { stage, registry, clock, signal, cpuUs = processCpuUs, everyMs = 10_000 } = options
  const { cpuPerEvent } = bindMetrics(cpuCostMetrics, registry)
  let events = 0
  let usedUs = cpuUs()
  const report = (): void => {
    const nowUs = cpuUs()
    if (events > 0) cpuPerEvent.set((nowUs - usedUs) / events, { stage })
    events = 0
    usedUs = nowUs
    next()
  }
  const next = (): void => {
    if (!signal.aborted) timer = clock.timer(everyMs, report)
  }
  let timer = clock.timer(everyMs, report)
  signal.addEventListener('abort', () => timer[Symbol.dispose](), { once: true })
  const count = (added: number): void => {
    events += added
  }
  return {
    count,
    counting:
      (handle) =>
      async (batch, ...rest) => {
        const result = await handle(batch, ...rest)
        count(batch.items.length)
        return result
      }
  }
}

function processCpuUs(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}
