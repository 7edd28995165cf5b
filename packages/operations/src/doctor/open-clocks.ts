// What the stores say the time is.
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Queryable } from '@millrace/stores/postgres'
import type { AskedRedis } from './check-redis.ts'
import type { ClockCheckDeps } from './check-clocks.ts'

/** The clock of every store, by name. Each call throws what its store throws. */
export function storeClocks({
  postgres,
  clickhouse,
  redis
}: {
  readonly postgres: Queryable
  readonly clickhouse: Pick<Clickhouse, 'rows'>
  readonly redis: readonly AskedRedis[]
}): ClockCheckDeps['clocks'] {
  return [
    {
      name: 'PostgreSQL',
      now: async () => {
        const rows = await postgres.query<{ ms: string }>('SELECT extract(epoch FROM clock_timestamp()) * 1000 AS ms')
        return Number(rows[0]?.ms)
      }
    },
    {
      name: 'ClickHouse',
      now: async () => {
        const rows = await clickhouse.rows<{ ms: string }>('SELECT toString(toUnixTimestamp64Milli(now64(3))) AS ms')
        return Number(rows[0]?.ms)
      }
    },
    ...redis.map((server) => ({
      name: `Redis ${server.role}`,
      now: async () => {
        // [seconds, microseconds]
        const [seconds, micros] = (await server.command('TIME')) as readonly [string, string]
        return Number(seconds) * 1_000 + Number(micros) / 1_000
      }
    }))
  ]
}
