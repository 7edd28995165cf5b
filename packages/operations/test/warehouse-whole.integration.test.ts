import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { migrate, restoreWarehouse } from '@millrace/operations/migrate'
import { noteWarehouseWhole, warehouseWholeness } from '@millrace/operations/warehouse-whole'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import { openTestDatabases } from '@millrace/testkit/test-databases'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()

async function open() {
  const { databaseUrl, clickhouseUrl } = stack.use(await openTestDatabases('whole'))
  await migrate({ databaseDirectUrl: databaseUrl, clickhouseUrl, log })
  return {
    postgres: stack.use(await openPostgres({ url: databaseUrl, poolSize: 1, log, name: 'test' })),
    clickhouse: stack.use(await openClickhouse({ url: clickhouseUrl, log, applicationName: 'test' })),
    restore: () => restoreWarehouse({ databaseDirectUrl: databaseUrl, clickhouseUrl, log })
  }
}
let opened: Awaited<ReturnType<typeof open>>
beforeAll(async () => {
  opened = await open()
})
afterAll(() => stack.disposeAsync())

it('the warehouse is whole while its tables are those that were noted, not when one was made anew', async () => {
  const { clickhouse, restore } = opened
  expect(await warehouseWholeness(opened)).toBe('first')
  expect(await noteWarehouseWhole(opened)).toBe(true)
  expect(await warehouseWholeness(opened)).toBe('whole')
  await clickhouse.command('DROP TABLE events_raw SYNC')
  expect(await warehouseWholeness(opened)).toBe('other')
  expect(await noteWarehouseWhole(opened)).toBe(false)
  await restore()
  expect(await warehouseWholeness(opened)).toBe('other')
  expect(await noteWarehouseWhole(opened)).toBe(true)
  expect(await warehouseWholeness(opened)).toBe('whole')
})
