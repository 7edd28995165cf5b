// Whether the event loop keeps up, by Node's own histogram of how late its timers are. States: keeping up -> lagging
// when the mean of a period is above the bound -> keeping up when it is below half of it.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Clock } from '@millrace/kernel'

/** How late timers were, in milliseconds, since the last reading. */
export interface LagMeter {
  readMs(): number
}

/** The mean, since one long pause (a collection, a large batch) is no reason to turn anybody away. */
export function openLagMeter(): LagMeter & Disposable {
  const resolution = 20
  const histogram = monitorEventLoopDelay({ resolution })
  histogram.enable()
  return {
    readMs: () => {
      // The histogram holds the whole interval between two ticks, the intended one included.
      const late = histogram.count === 0 ? 0 : histogram.mean / 1e6 - resolution
      histogram.reset()
      return Math.max(0, late)
    },
    [Symbol.dispose]: () => void histogram.disable()
  }
}

export interface LagWatch {
  lagging(): boolean
}

/** Reads `meter` every half second until `signal` aborts; `report` is told each reading. `boundMs` 0 never lags. */
export function watchLag(
  meter: LagMeter,
  options: { readonly boundMs: number; readonly clock: Clock; readonly signal: AbortSignal },
  report: (lagMs: number) => void
): LagWatch {
  const { boundMs, clock, signal } = options
  const everyMs = 500
  let lagging = false
  const read = (): void => {
    if (signal.aborted) return
    const lagMs = meter.readMs()
    report(lagMs)
    lagging = boundMs > 0 && lagMs > (lagging ? boundMs / 2 : boundMs)
    clock.timer(everyMs, read)
  }
  clock.timer(everyMs, read)
  return { lagging: () => lagging }
}
