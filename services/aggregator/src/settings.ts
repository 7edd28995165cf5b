// What the parts take of the settings.
import type { FoldOptions } from '@millrace/aggregation/fold'
import { liveTiming } from '@millrace/aggregation/timing'
import type { Timing } from '@millrace/aggregation/timing'
import { letterSettings } from '@millrace/consumer'
import type { ConsumerSettings, FlushPolicy } from '@millrace/consumer'
import type { DefinitionCache } from '@millrace/operations/definition-cache'
import type { AggregatorConfig } from './config.ts'

/** The lengths of time of the protocol under these settings. */
export function timingOf(
  config: Pick<AggregatorConfig, 'LATENESS_MS' | 'SESSION_IDLE_MS' | 'CLOCK_MARGIN_MS'>
): Timing {
  const { LATENESS_MS: latenessMs, SESSION_IDLE_MS: sessionIdleMs, CLOCK_MARGIN_MS: marginMs } = config
  return { ...liveTiming, latenessMs, sessionIdleMs, marginMs }
}

/** What to count of each project. */
export function foldOptions(
  timing: Timing,
  conversionTypes: readonly string[],
  definitions: Pick<DefinitionCache, 'of'>
): (project: string) => FoldOptions {
  const conversions = new Set(conversionTypes)
  return (project) => ({ timing, metrics: definitions.of(project), conversionTypes: conversions })
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
    ...letterSettings(config),
    concurrency: config.CONCURRENCY,
    // What waits here waits for Redis, a flip, or an operator; a flip is over within seconds.
    backoff: { baseMs: 100, capMs: 5_000, jitter: 0.3 },
    sessionTimeoutMs: config.SESSION_TIMEOUT_MS,
    heartbeatIntervalMs: config.HEARTBEAT_INTERVAL_MS,
    topicRefreshMs: config.TOPIC_REFRESH_MS
  }
}
