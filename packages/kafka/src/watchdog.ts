// Notices a consumer that lives but does nothing: no fetch, no heartbeat. Joins may take longer than fetches.
import type { Clock } from '@millrace/kernel'

export interface WatchdogOptions {
  readonly clock: Clock
  readonly fetchLimitMs: number
  readonly joinLimitMs: number
  readonly onSilence: (silentMs: number) => void
}

export interface Watchdog extends Disposable {
  /** Something happened. */
  touch(): void
  joining(): void
  fetching(): void
}

const checkEveryMs = 5_000

/** Starts in the joining phase; calls `onSilence` once, and ends. */
export function createWatchdog({ clock, fetchLimitMs, joinLimitMs, onSilence }: WatchdogOptions): Watchdog {
  let last = clock.monotonic()
  let limitMs = joinLimitMs
  let timer: Disposable | undefined
  const check = (): void => {
    const silentMs = clock.monotonic() - last
    if (silentMs > limitMs) onSilence(Math.round(silentMs))
    else timer = clock.timer(checkEveryMs, check)
  }
  timer = clock.timer(checkEveryMs, check)
  const enter = (phaseLimitMs: number): void => {
    limitMs = phaseLimitMs
    last = clock.monotonic()
  }
  return {
    touch: () => {
      last = clock.monotonic()
    },
    joining: () => enter(joinLimitMs),
    fetching: () => enter(fetchLimitMs),
    [Symbol.dispose]: () => timer?.[Symbol.dispose]()
  }
}
