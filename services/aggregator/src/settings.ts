// What the parts take of the settings.
import type { FoldOptions } from '@millrace/aggregation/fold'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import { liveTiming } from '@millrace/aggregation/timing'
import type { ConsumerSettings, FlushPolicy } from '@millrace/consumer'
import type { AggregatorConfig } from './config.ts'

/** What to count under these settings, without what projects define themselves. */
export function foldOptionsOf(config: AggregatorConfig): FoldOptions {
  const { LATENESS_MS: latenessMs, SESSION_IDLE_MS: sessionIdleMs, CLOCK_MARGIN_MS: marginMs } = config
  return {
    timing: { ...liveTiming, latenessMs, sessionIdleMs, marginMs },
    metrics: builtInMetrics(config.CONVERSION_TYPES),
    conversionTypes: new Set(config.CONVERSION_TYPES)
  }
}

/** When the events of a partition are folded: soon when there are few, many at once when it is behind. */
export function flushPolicyOf(config: AggregatorConfig): FlushPolicy {
  return {
    maxRows: config.BATCH_SIZE,
    maxBytes: config.BATCH_BYTES,
    maxAgeMs: config.FLUSH_AFTER_MS,
    behindAgeMs: config.FLUSH_BEHIND_MS,
    scope: 'lane'
  }
}

/** How the group is held. */
export function consumerSettingsOf(config: AggregatorConfig): Partial<ConsumerSettings> {
  return {
    concurrency: config.CONCURRENCY,
    // What waits here waits for Redis, a flip, or an operator; a flip is over within seconds.
    backoff: { baseMs: 100, capMs: 5_000, jitter: 0.3 },
    sessionTimeoutMs: config.SESSION_TIMEOUT_MS,
    heartbeatIntervalMs: config.HEARTBEAT_INTERVAL_MS,
    topicRefreshMs: config.TOPIC_REFRESH_MS
  }
}
