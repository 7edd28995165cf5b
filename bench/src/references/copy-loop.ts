// COPY of finished rows into a table like `raw_events`, 5,000 a transaction: the least that keeping events in PostgreSQL
// can cost. Rows are those that the recorder makes, 60,000 of them again and again with new ids.
import { createEnrich } from '@millrace/contracts'
import type { EventRow } from '@millrace/contracts'
import { createSilentLogger } from '@millrace/observability'
import { copyLine } from '@millrace/stores/copy-text'
import { openPostgres } from '@millrace/stores/postgres'
import { createRawRecords } from '../gen/raw-records.ts'
import { serveLoop } from '../loop-child.ts'

const { DATABASE_URL = '' } = process.env
const batch = 5_000
const different = 60_000
const columns =
  'project_id, event_id, day, event_type, event_action, session_id, user_id, anonymous_id, ' +
  '"timestamp", received_at, appended_at, topic, "partition", "offset", metadata'
const mark = 'the-id-of-the-event'

const postgres = await openPostgres({ url: DATABASE_URL, poolSize: 1, log: createSilentLogger(), name: 'bench' })
await postgres.query('CREATE TABLE bench_copy (LIKE raw_events INCLUDING ALL)')
const nowMs = Date.now()
const enrich = createEnrich()
const nextRecords = createRawRecords(1, 'copy', 4, nowMs)
const parts = nextRecords(different).map(({ value, partition }, at) => {
  const enriched = enrich({ topic: 'events.bench', partition, offset: BigInt(at), appendedAtMs: nowMs, value })
  if (!enriched.ok) throw new Error(enriched.detail)
  return toLine(enriched.row).split(mark)
})
let made = 0

process.on('SIGTERM', () => process.exit(0))
serveLoop<object>(async () => {
  const first = made % different
  const lines = parts.slice(first, first + batch).map(([before, after]) => `${before}copy-${made++}${after}`)
  const body = Buffer.from(`${lines.join('\n')}\n`)
  await postgres.transaction((tx) => tx.copy(`COPY bench_copy (${columns}) FROM STDIN`, body))
  return batch
})

function toLine(row: EventRow): string {
  const time = (ms: number): string => new Date(ms).toISOString()
  return copyLine([
    row.projectId,
    mark,
    time(row.timestamp).slice(0, 10),
    row.eventType,
    null,
    row.sessionId,
    row.userId === '' ? null : row.userId,
    row.anonymousId,
    time(row.timestamp),
    time(row.receivedAt),
    time(row.appendedAt),
    row.topic,
    row.partition,
    row.offset,
    row.properties
  ])
}
