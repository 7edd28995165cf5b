import { afterAll, beforeAll, expect, it } from 'vitest'
import { enrich, rawTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { schemasFolder } from '@millrace/operations/migrate'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse, ClickhouseSettings } from '@millrace/stores/clickhouse'
import { migrateClickhouse } from '@millrace/stores/migrations'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { createTableCheck } from '@millrace/warehouse/check-tables'
import { createToEntry } from '@millrace/warehouse/entry'
import { warehouseTables } from '@millrace/warehouse/tables'
import { createLoad } from '../src/load.ts'
import type { LoadDeps } from '../src/load.ts'
import { loaderMetrics } from '../src/metrics.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
let clickhouse: Clickhouse

beforeAll(async () => {
  const { clickhouseUrl: url } = stack.use(await openTestDatabases('months'))
  await migrateClickhouse({ url, folder: new URL('clickhouse/', schemasFolder), log })
  clickhouse = stack.use(await openClickhouse({ url, log, applicationName: 'test' }))
})
afterAll(() => stack.disposeAsync())

const toEntry = createToEntry(enrich)

function batchOf(project: string, months: number) {
  const items = Array.from({ length: months * 2 }, (_, index) => {
    const timestamp = new Date(Date.UTC(1980, index % months, 3)).toISOString()
    const event = { eventId: `e-${index}`, eventType: 'view', timestamp, receivedAt: timestamp }
    const record = { topic: rawTopic(project), partition: 0, offset: BigInt(index), appendedAtMs: Date.UTC(2026, 1) }
    const entry = toEntry({ ...record, value: Buffer.from(JSON.stringify(event)) })
    if (entry.kind !== 'item') throw new Error('an event is expected')
    return entry.item
  })
  return { items, ranges: [{ topic: rawTopic(project), partition: 0, from: 0n, to: BigInt(items.length) }] }
}

const context = { signal: new AbortController().signal, progress: () => {} }

function setUp(settings: ClickhouseSettings) {
  const registry = createRegistry()
  const deps: LoadDeps = {
    clickhouse,
    checkTables: createTableCheck(clickhouse),
    metrics: bindMetrics(loaderMetrics, registry),
    clock: systemClock,
    faults: { at: () => undefined },
    tables: warehouseTables.slice(0, 1),
    settingsOf: () => settings
  }
  const apart = async (): Promise<unknown> =>
    (await registry.getSingleMetric('analytics_loader_batches_apart_total')?.get())?.values[0]?.value
  return { load: createLoad(deps), apart }
}

const shown = async (project: string): Promise<unknown> =>
  (
    await clickhouse.rows(
      'SELECT count() AS rows, uniqExact(toYYYYMM(timestamp)) AS months FROM events WHERE projectId = {project:String}',
      { project }
    )
  )[0]

it('events of 500 months are one insert', async () => {
  const { load, apart } = setUp({})
  await load(batchOf('many', 500), context)
  expect(await shown('many')).toEqual({ rows: '1000', months: '500' })
  expect(await apart()).toBe(0)
})

it('a server that refuses many months in one insert has them one by one', async () => {
  const { load, apart } = setUp({ max_partitions_per_insert_block: 10 })
  expect(await load(batchOf('few', 24), context)).toHaveLength(48)
  expect(await shown('few')).toEqual({ rows: '48', months: '24' })
  expect(await apart()).toBe(1)
})
