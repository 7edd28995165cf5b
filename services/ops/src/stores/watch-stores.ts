// How full the stores are, and whether they answer: what no service sees of its own work until it is too late.
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import { errorFields } from '@millrace/service'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Redis } from '@millrace/stores/redis'
import { parseRedisInfo } from '@millrace/stores/redis-info'
import type { storeMetrics } from '../metrics.ts'

export interface WatchStoresDeps {
  readonly redis: readonly Pick<Redis, 'role' | 'command'>[]
  readonly clickhouse: Pick<Clickhouse, 'rows'>
  /** Stores that are only asked whether they are there, by name. */
  readonly others: Readonly<Record<string, () => Promise<unknown>>>
  readonly metrics: BoundMetrics<typeof storeMetrics>
  readonly log: Pick<Logger, 'warn' | 'info'>
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly everyMs: number
}

/** What `INFO` of a Redis says that counts here. */
export interface RedisFullness {
  /** Since the server started. */
  readonly evictedKeys: number
  /** Of the bound; 0 without one. */
  readonly memoryRatio: number
}

/** Looks every `everyMs` until the signal aborts. Never rejects. */
export async function watchStores(deps: WatchStoresDeps): Promise<void> {
  const { clock, signal, everyMs, metrics, log } = deps
  const evicted = new Map<string, number>()
  const away = new Set<string>()
  const attempt = async (store: string, look: () => Promise<unknown>): Promise<void> => {
    try {
      await look()
      metrics.unreachable.set(0, { store })
      if (away.delete(store)) log.info({ store }, 'a store answers again')
    } catch (error) {
      if (signal.aborted) return
      metrics.unreachable.set(1, { store })
      // One line for an outage, not one for each look.
      if (!away.has(store)) log.warn({ ...errorFields(error), store }, 'a store does not answer')
      away.add(store)
    }
  }
  while (!signal.aborted) {
    await Promise.all([
      ...deps.redis.map((redis) =>
        attempt(`redis-${redis.role}`, async () => {
          const { role } = redis
          const { evictedKeys, memoryRatio } = toFullness(await redis.command('INFO'))
          metrics.memory.set(memoryRatio, { role })
          // A server that was started anew counts from 0.
          const before = evicted.get(role) ?? 0
          metrics.evicted.add(evictedKeys >= before ? evictedKeys - before : evictedKeys, { role })
          evicted.set(role, evictedKeys)
        })
      ),
      attempt('clickhouse', async () => {
        const [disk] = await deps.clickhouse.rows<{ free: number }>(
          'SELECT toFloat64(min(free_space / total_space)) AS free FROM system.disks WHERE total_space > 0'
        )
        if (disk !== undefined) metrics.diskFree.set(disk.free)
      }),
      ...Object.entries(deps.others).map(([store, look]) => attempt(store, look))
    ])
    await clock.sleep(everyMs, signal).catch(() => {})
  }
}

/** Reads the reply of `INFO`. */
export function toFullness(info: unknown): RedisFullness {
  const fields = parseRedisInfo(info)
  const numberOf = (name: string): number => Number(fields.get(name) ?? 0) || 0
  const bound = numberOf('maxmemory')
  return { evictedKeys: numberOf('evicted_keys'), memoryRatio: bound === 0 ? 0 : numberOf('used_memory') / bound }
}
