// Inserts finished rows as JSON lines into a table like `events_raw`, 10,000 in a statement: what is left of loading events
// when somebody else has made the rows. They are those of the loader, 60,000 of them again and again with new ids.
import { createEnrich, toRowLine } from '@millrace/contracts'
import { createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { insertSettings } from '@millrace/warehouse/insert'
import { warehouseTables } from '@millrace/warehouse/tables'
import { createRawRecords } from '../gen/raw-records.ts'
import { serveLoop } from '../loop-child.ts'

const { CLICKHOUSE_URL: url = '' } = process.env
const batch = 10_000
const different = 60_000
const mark = 'the-id-of-the-event'
const table = 'bench_events'
const [events] = warehouseTables
const columns = (events?.columns ?? []).map(({ name }) => name)

const clickhouse = await openClickhouse({ url, log: createSilentLogger(), applicationName: 'bench' })
await clickhouse.command(`CREATE TABLE ${table} AS events_raw`)
const settings = { ...insertSettings, date_time_input_format: 'best_effort' }
const nowMs = Date.now()
const enrich = createEnrich()
const parts = createRawRecords(
  1,
  'insert',
  4,
  nowMs
)(different).map(({ value, partition }, at) => {
  const enriched = enrich({ topic: 'events.bench', partition, offset: BigInt(at), appendedAtMs: nowMs, value })
  if (!enriched.ok) throw new Error(enriched.detail)
  return toRowLine({ ...enriched.row, eventId: mark }).split(mark)
})
let made = 0

process.on('SIGTERM', () => process.exit(0))
serveLoop<object>(async () => {
  const first = made % different
  const lines = parts.slice(first, first + batch).map(([before, after]) => `${before}insert-${made++}${after}`)
  await clickhouse.insertLines(table, columns, Buffer.from(`${lines.join('\n')}\n`), { settings })
  return batch
})
