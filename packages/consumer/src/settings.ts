// The limits of a consumer and their defaults.
import { AppError } from '@millrace/kernel'
import type { ConsumerDef, ConsumerSettings, FlushPolicy } from './definition.ts'

/** Of fewer letters nobody can say what share of all records they are. */
const leastLetters = 50

/** The settings of a consumer; what `given` does not name follows from the flush policy and from what it names. */
export function defaultSettings(policy: FlushPolicy, given: Partial<ConsumerSettings> = {}): ConsumerSettings {
  const { sessionTimeoutMs = 30_000, rebalanceTimeoutMs = 60_000 } = given
  return {
    maxHandleMs: 30_000,
    concurrency: policy.scope === 'lane' ? 4 : 1,
    laneRows: policy.maxRows * 2,
    laneBytes: policy.maxBytes * 2,
    totalBytes: policy.maxBytes * 8,
    backoff: { baseMs: 250, capMs: 60_000, jitter: 0.3 },
    recordRetryMs: 1_000,
    storm: { perMinute: 100, share: 0.01, leastLetters },
    unreadyAfterMs: 30_000,
    decodeOnArrival: false,
    drainMs: Math.min(5_000, sessionTimeoutMs / 2, rebalanceTimeoutMs / 2),
    stopMs: 10_000,
    maxBisectCalls: 256,
    isolateBugs: true,
    sessionTimeoutMs,
    heartbeatIntervalMs: 3_000,
    rebalanceTimeoutMs,
    topicRefreshMs: 15_000,
    maxBytesPerPartition: 512 * 1024,
    maxWaitMs: 250,
    ...given
  }
}

/** What the shared settings of letters (`letterFields`) mean for a consumer. */
export function letterSettings(config: {
  readonly RECORD_RETRY_MS: number
  readonly STORM_PER_MINUTE: number
  readonly STORM_PERCENT: number
}): Pick<ConsumerSettings, 'recordRetryMs' | 'storm'> {
  const { RECORD_RETRY_MS: recordRetryMs, STORM_PER_MINUTE: perMinute, STORM_PERCENT: percent } = config
  return { recordRetryMs, storm: { perMinute, share: percent / 100, leastLetters } }
}

/** The settings of `def`, defaults filled in. Throws PIPE_CONFIG_INVALID for limits that contradict each other. */
export function resolveSettings<Item>(def: ConsumerDef<Item>): ConsumerSettings {
  const settings = defaultSettings(def.policy, def.settings)
  const problems = [
    def.policy.maxRows < 1 && 'policy.maxRows must be at least 1',
    def.policy.maxBytes < 1 && 'policy.maxBytes must be at least 1',
    settings.concurrency < 1 && 'concurrency must be at least 1',
    settings.laneRows < def.policy.maxRows && 'laneRows must be at least policy.maxRows',
    settings.laneBytes < def.policy.maxBytes && 'laneBytes must be at least policy.maxBytes',
    settings.drainMs * 2 > Math.min(settings.sessionTimeoutMs, settings.rebalanceTimeoutMs) &&
      'drainMs must be at most half of sessionTimeoutMs and of rebalanceTimeoutMs',
    settings.heartbeatIntervalMs * 3 > settings.sessionTimeoutMs &&
      'heartbeatIntervalMs must be at most a third of sessionTimeoutMs',
    def.startAt !== undefined && def.policy.scope === 'process' && 'startAt needs policy.scope "lane"'
  ].filter((problem) => problem !== false)
  if (problems.length > 0) throw new AppError('PIPE_CONFIG_INVALID', `consumer ${def.name}: ${problems.join('; ')}`)
  return settings
}
