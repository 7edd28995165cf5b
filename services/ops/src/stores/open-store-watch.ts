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

export interface StoreWatchDeps {
  readonly config: ConfigOf<typeof watchedStoreFields>
  /** The Redis of the live state. */
  readonly redis: Redis
  readonly clickhouse: Clickhouse
  readonly postgres: Postgres
  readonly admin: { brokerCount(): Promise<number> }
  readonly log: Logger
  readonly registry: Registry
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly stack: AsyncDisposableStack
}

const everyMs = 15_000

/** Starts it; resolves after the signal aborted. */
export async function openStoreWatch(deps: StoreWatchDeps): Promise<void> {
  const { config, redis, clickhouse, postgres, admin, log, registry, clock, signal, stack } = deps
  const urls = [
    ['dedup', config.REDIS_DEDUP_URL],
    ['cache', config.REDIS_CACHE_URL]
  ] as const
  const others: Redis[] = []
  for (const [role, url] of urls)
    if (url !== '') others.push(stack.use(await openRedis({ url, role, log, requirePolicy: 'when-reachable' })))
  const metrics = bindMetrics(storeMetrics, registry)
  const asked = { postgres: () => postgres.ping(), kafka: () => admin.brokerCount() }
  await watchStores({ redis: [redis, ...others], clickhouse, others: asked, metrics, log, clock, signal, everyMs })
}
