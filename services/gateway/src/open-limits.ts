// What bounds intake, put together: rates, bytes in flight, lag of the event loop, and who is busiest.
import type { ConfigOf } from '@millrace/config'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import type { Redis } from '@millrace/stores/redis'
import type { Peers } from '@millrace/service'
import { createSharedBuckets } from '@millrace/stores/shared-buckets'
import type { Gate } from './acceptance.ts'
import { createAdmission } from './admission.ts'
import type { Admission } from './admission.ts'
import { createHotKeys, hotKeyTopic } from './hot-keys.ts'
import type { HotKeys, HotWindow } from './hot-keys.ts'
import { defaultRate } from './limit-settings.ts'
import type { limitFields } from './limit-settings.ts'
import { createLimitGate } from './limits.ts'
import { openLagMeter, watchLag } from './loop-lag.ts'
import type { gatewayMetrics } from './metrics.ts'
import { createRateLimiter } from './rate-limiter.ts'
import type { RateLimiter } from './rate-limiter.ts'

export interface Limits extends Disposable {
  readonly limiter: RateLimiter
  readonly admission: Admission
  readonly hotKeys: HotKeys
  /** The busiest keys in each process of this gateway. */
  hotWindows(): Promise<readonly (readonly HotWindow[])[]>
  /** The gate of the rates. */
  readonly gate: Gate
}

export interface LimitsDeps {
  readonly config: ConfigOf<typeof limitFields>
  /** Where processes share their buckets. */
  readonly redis: Redis
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly metrics: BoundMetrics<typeof gatewayMetrics>
  readonly peers: Peers
}

/** Begins to watch the event loop, until it is disposed or `signal` aborts. */
export function openLimits({ config, redis, clock, signal, metrics, peers }: LimitsDeps): Limits {
  const limiter = createRateLimiter({
    clock,
    defaultRate: defaultRate(config),
    shared: createSharedBuckets(redis),
    onShareFailure: () => metrics.shareFailures.add(1)
  })
  const meter = openLagMeter()
  const lag = watchLag(meter, { boundMs: config.SHED_LAG_MS, clock, signal }, (lagMs) =>
    metrics.loopLag.set(lagMs / 1_000)
  )
  const admission = createAdmission({
    clock,
    maxBytes: config.INTAKE_BYTES,
    maxProjectBytes: (config.INTAKE_BYTES * config.INTAKE_PROJECT_PERCENT) / 100,
    overloaded: lag.lagging
  })
  const hotKeys = createHotKeys(clock)
  peers.provide(hotKeyTopic, hotKeys.view)
  return {
    limiter,
    admission,
    hotKeys,
    // Peers are processes of this very program.
    hotWindows: async () => (await peers.collect(hotKeyTopic)) as readonly (readonly HotWindow[])[],
    gate: createLimitGate(limiter, (scope) => metrics.limited.add(1, { scope })),
    [Symbol.dispose]: () => meter[Symbol.dispose]()
  }
}
