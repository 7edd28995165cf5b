// The monitor over the stores of a deployment. Wiring only.
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import type { ConfigOf } from '@millrace/config'
import { samplerLater } from '@millrace/kafka'
import type { Kafka } from '@millrace/kafka'
import { AppError, toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { bindMetrics } from '@millrace/observability'
import type { Logger, Registry } from '@millrace/observability'
import { createGuardedPost } from '@millrace/operations/guarded-post'
import { createAddressGuard } from '@millrace/operations/outside-address'
import type { AddressGuard } from '@millrace/operations/outside-address'
import { archiveSink, committedSink, liveStateSink } from '@millrace/operations/sinks'
import type { Sink } from '@millrace/operations/sinks'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import type { Postgres } from '@millrace/stores/postgres'
import type { Redis } from '@millrace/stores/redis'
import { monitorMetrics } from '../metrics.ts'
import { createAlertDelivery } from './deliver-alerts.ts'
import type { monitorFields } from './fields.ts'
import { startMonitor } from './monitor.ts'
import type { Monitor } from './monitor.ts'

export interface OpenMonitorDeps {
  readonly config: ConfigOf<typeof monitorFields>
  readonly kafka: Pick<Kafka, 'sampler'>
  readonly postgres: Postgres
  /** The Redis of the live state. */
  readonly redis: Redis
  readonly log: Logger
  readonly registry: Registry
  readonly clock: Clock
  readonly signal: AbortSignal
}

const webhookTimeoutMs = 5_000
/** In a setting, since an empty one is the default. */
const noGroup = '-'

/** Starts the monitor. Throws PIPE_CONFIG_INVALID for settings of the webhook that are wrong. */
export function openMonitor({
  config,
  kafka,
  postgres,
  redis,
  log,
  registry,
  clock,
  signal
}: OpenMonitorDeps): Monitor {
  const metrics = bindMetrics(monitorMetrics, registry)
  const sampler = samplerLater(kafka)
  const { ARCHIVER_GROUP: archivers, ARCHIVE_HELD_MS: archiveHeldMs } = config
  const post = webhookOf(config)
  return startMonitor({
    sampler,
    sinks: sinksOf({ config, sampler, postgres, redis }),
    metrics,
    deliver: createAlertDelivery({
      post,
      log,
      clock,
      signal,
      onDelivery: (outcome) => metrics.deliveries.add(1, { outcome })
    }),
    log,
    clock,
    signal,
    everyMs: config.MONITOR_EVERY_MS,
    heldSeconds: (group) => (group === archivers ? archiveHeldMs / 1_000 : 0)
  })
}

/** Every group whose position is looked at. */
export function sinksOf({
  config,
  sampler,
  postgres,
  redis
}: Pick<OpenMonitorDeps, 'config' | 'postgres' | 'redis'> & {
  readonly sampler: ReturnType<typeof samplerLater>
}): readonly Sink[] {
  const { AGGREGATOR_GROUP: aggregators, ARCHIVER_GROUP: archivers } = config
  return [
    ...config.MONITOR_GROUPS.filter((group) => group !== noGroup).map((group) => committedSink(sampler, group)),
    ...(aggregators === noGroup ? [] : [liveStateSink(createRedisEpochs(redis), aggregators)]),
    ...(archivers === noGroup ? [] : [archiveSink(createArchiveManifest(postgres), archivers)])
  ]
}

function webhookOf(config: ConfigOf<typeof monitorFields>): ((body: string) => Promise<void>) | undefined {
  const { ALERT_WEBHOOK_URL: url, ALERT_WEBHOOK_HOSTS: hosts, ALERT_WEBHOOK_PRIVATE: allowed } = config
  if (url === '') return undefined
  if (!URL.canParse(url)) throw new AppError('PIPE_CONFIG_INVALID', 'ALERT_WEBHOOK_URL is no URL')
  const post = createGuardedPost({
    hosts: hosts.length === 0 ? [new URL(url).hostname] : hosts,
    guard: guardOf(allowed),
    timeoutMs: webhookTimeoutMs
  })
  return (body) => post(url, body)
}

function guardOf(allowed: readonly string[]): AddressGuard {
  try {
    return createAddressGuard(allowed)
  } catch (error) {
    throw new AppError('PIPE_CONFIG_INVALID', `ALERT_WEBHOOK_PRIVATE: ${toError(error).message}`, { cause: error })
  }
}
