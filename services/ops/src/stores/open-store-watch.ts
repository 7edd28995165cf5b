// The watch over the stores of a deployment. Wiring only.
import type { ConfigOf } from '@millrace/config'
import type { Clock } from '@millrace/kernel'
import { bindMetrics } from '@millrace/observability'
import type { Logger, Registry } from '@millrace/observability'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Postgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { storeMetrics } from '../metrics.ts'
import type { watchedStoreFields } from './fields.ts'
import { watchStores } from './watch-stores.ts'

export interface OtherRolesDeps {
  readonly config: ConfigOf<typeof watchedStoreFields>
  readonly log: Logger
  readonly stack: AsyncDisposableStack
}

/** The Redis of the roles that this service only looks at, where the settings name one. Throws PIPE_CONFIG_INVALID. */
export async function openOtherRoles({ config, log, stack }: OtherRolesDeps): Promise<readonly Redis[]> {
  const urls = [
    ['dedup', config.REDIS_DEDUP_URL],
    ['cache', config.REDIS_CACHE_URL]
  ] as const
  return await Promise.all(
    urls
      .filter(([, url]) => url !== '')
      .map(async ([role, url]) => stack.use(await openRedis({ url, role, log, requirePolicy: 'when-reachable' })))
  )
}

export interface StoreWatchDeps {
  /** Of every role that is known. */
  readonly redis: readonly Redis[]
  readonly clickhouse: Clickhouse
  readonly postgres: Postgres
  readonly admin: { brokerCount(): Promise<number> }
  readonly log: Logger
  readonly registry: Registry
  readonly clock: Clock
  readonly signal: AbortSignal
}

const everyMs = 15_000

/** Starts it; resolves after the signal aborted. */
export async function openStoreWatch(deps: StoreWatchDeps): Promise<void> {
  const { redis, clickhouse, postgres, admin, log, registry, clock, signal } = deps
  const metrics = bindMetrics(storeMetrics, registry)
  const others = { postgres: () => postgres.ping(), kafka: () => admin.brokerCount() }
  await watchStores({ redis, clickhouse, others, metrics, log, clock, signal, everyMs })
}
