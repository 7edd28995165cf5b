import { expect, it } from 'vitest'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Queryable } from '@millrace/stores/postgres'
import { curatorMetrics } from './metrics.ts'
import { createIsWhole } from './whole.ts'

/** Three tables made in `generation`, with that many rows; PostgreSQL holds what was noted. */
function setUp(given: { noted?: string; rows?: number; committed?: bigint }) {
  const held = { generation: 'a', noted: given.noted, rows: given.rows ?? 0 }
  const ids = () => ['events_raw', 'first_seen', 'identity_links'].map((name) => `${name} ${held.generation}`)
  // The generics of the real methods cannot be met by prepared answers.
  const rows = ((sql: string) =>
    Promise.resolve(
      sql.includes('system.tables') ? ids().map((id) => ({ id })) : [{ rows: String(held.rows) }]
    )) as Clickhouse['rows']
  const query = ((sql: string, params?: readonly unknown[]) => {
    if (sql.includes('INSERT')) held.noted = String(params?.[0])
    return Promise.resolve(held.noted === undefined ? [] : [{ tables: held.noted }])
  }) as Queryable['query']
  const registry = createRegistry()
  const isWhole = createIsWhole({
    postgres: { query },
    clickhouse: { rows },
    admin: {
      listTopics: () => Promise.resolve(['events.shop', 'deadletter.shop']),
      groupOffsets: () => Promise.resolve(new Map(given.committed === undefined ? [] : [[0, given.committed]]))
    },
    group: 'load',
    metrics: bindMetrics(curatorMetrics, registry),
    log: createSilentLogger()
  })
  const shown = async () => (await registry.getSingleMetric('analytics_warehouse_whole')?.get())?.values
  return { held, isWhole, shown }
}

it('tables that were made anew are not whole until somebody notes them, and the metric says so', async () => {
  const { held, isWhole, shown } = setUp({ rows: 5, committed: 5n })
  expect(await isWhole()).toBe(true)
  expect(await shown()).toMatchObject([{ value: 1 }])
  held.generation = 'b'
  expect(await isWhole()).toBe(false)
  expect(await shown()).toMatchObject([{ value: 0 }])
  held.noted = 'events_raw b, first_seen b, identity_links b'
  expect(await isWhole()).toBe(true)
})

it.each([
  [{ rows: 0 }, true],
  [{ rows: 0, committed: 0n }, true],
  [{ rows: 0, committed: 7n }, false],
  [{ rows: 7, committed: 7n }, true]
])('where nothing was noted, %o is whole: %s', async (given, expected) => {
  const { held, isWhole } = setUp(given)
  expect(await isWhole()).toBe(expected)
  expect(held.noted === undefined).toBe(!expected)
})
