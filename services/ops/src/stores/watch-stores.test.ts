import { expect, test } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { storeMetrics } from '../metrics.ts'
import { toFullness, watchStores } from './watch-stores.ts'

const info = (evicted: number, used = 500, bound = 1_000): string =>
  `# Memory\r\nused_memory:${used}\r\nused_memory_human:1K\r\nmaxmemory:${bound}\r\n# Stats\r\nevicted_keys:${evicted}\r\n`

test('reads what INFO of a Redis says, and of one without a bound', () => {
  expect(toFullness(info(7))).toEqual({ evictedKeys: 7, memoryRatio: 0.5 })
  expect(toFullness(info(0, 500, 0))).toEqual({ evictedKeys: 0, memoryRatio: 0 })
  expect(toFullness('')).toEqual({ evictedKeys: 0, memoryRatio: 0 })
})

test('counts evictions over restarts of the server, and says which store is away', async () => {
  const clock = createManualClock()
  const registry = createRegistry()
  const stop = new AbortController()
  const replies = [info(5), info(9), new Error('away'), info(2)]
  const done = watchStores({
    redis: [
      {
        role: 'dedup',
        command: async () => {
          const reply = replies.shift() ?? info(2)
          if (reply instanceof Error) throw reply
          return reply
        }
      }
    ],
    clickhouse: { rows: async () => [{ free: 0.25 }] as never },
    others: { postgres: async () => undefined },
    metrics: bindMetrics(storeMetrics, registry),
    log: createSilentLogger(),
    clock,
    signal: stop.signal,
    everyMs: 1_000
  })
  const series = async (name: string): Promise<string> => await registry.getSingleMetricAsString(name)
  await clock.advance(1_500)
  expect(await series('analytics_redis_evicted_keys_total')).toContain('{role="dedup"} 9')
  expect(await series('analytics_redis_memory_ratio')).toContain('{role="dedup"} 0.5')
  expect(await series('analytics_warehouse_disk_free_ratio')).toContain(' 0.25')
  await clock.advance(1_000)
  expect(await series('analytics_store_unreachable')).toContain('{store="redis-dedup"} 1')
  expect(await series('analytics_store_unreachable')).toContain('{store="postgres"} 0')
  await clock.advance(1_000)
  expect(await series('analytics_store_unreachable')).toContain('{store="redis-dedup"} 0')
  expect(await series('analytics_redis_evicted_keys_total')).toContain('{role="dedup"} 11')
  stop.abort()
  await done
})
