// What the recorder does with PostgreSQL, by way of a PgBouncer in transaction mode: partitions made under a lock, rows
// copied, and copies of them merged by way of a temporary table.
import { expect, it, onTestFinished } from 'vitest'
import { enrich } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { schemasFolder } from '@millrace/operations/migrate'
import { migratePostgres } from '@millrace/stores/migrations'
import { openPostgres } from '@millrace/stores/postgres'
import { openOwnPgbouncer } from '@millrace/testkit/own-pgbouncer'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { createDays } from '../src/days.ts'
import { recorderMetrics } from '../src/metrics.ts'
import { createRecord } from '../src/record.ts'
import { createToRow } from '../src/to-row.ts'
import type { RecordedRow } from '../src/to-row.ts'

it('four recorders write the same events on two connections of the server, each event once', async () => {
  const stack = new AsyncDisposableStack()
  onTestFinished(() => stack.disposeAsync())
  const log = createSilentLogger()
  const { databaseUrl } = stack.use(await openTestDatabases('pooled'))
  await migratePostgres({ url: databaseUrl, folder: new URL('postgres/', schemasFolder), log })
  const { url } = stack.use(await openOwnPgbouncer(databaseUrl, 2))
  const toRow = createToRow('properties', enrich)
  const nowMs = Date.now()
  const batch = (from: number): readonly RecordedRow[] =>
    Array.from({ length: 100 }, (_, index) => {
      const receivedAt = new Date(nowMs - (index % 3) * 86_400_000).toISOString()
      const event = { eventId: `e-${from + index}`, eventType: 'view', receivedAt }
      const at = { topic: 'events.pooled', partition: 0, offset: BigInt(from + index), appendedAtMs: nowMs }
      const made = toRow({ ...at, value: Buffer.from(JSON.stringify(event)) })
      if (made.kind !== 'item') throw new Error('not a row')
      return made.item
    })
  const recorders = [1, 2, 3, 4].map(async () => {
    const postgres = stack.use(await openPostgres({ url, poolSize: 3, log, name: 'test' }))
    const metrics = bindMetrics(recorderMetrics, createRegistry())
    const faults = { at: () => undefined }
    const days = createDays(postgres)
    const record = createRecord({ postgres, days, retentionDays: 90, metrics, clock: systemClock, faults })
    for (const from of [0, 100, 200]) {
      expect(await record({ items: batch(from) }, { attempt: 1 })).toHaveLength(100)
    }
  })
  await Promise.all(recorders)
  await using direct = await openPostgres({ url: databaseUrl, poolSize: 1, log, name: 'test' })
  const [row] = await direct.query(
    `SELECT count(*)::int AS rows, count(DISTINCT event_id)::int AS events,
       (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND database =
         (SELECT oid FROM pg_database WHERE datname = current_database())) AS locks
     FROM raw_events`
  )
  expect(row).toEqual({ rows: 300, events: 300, locks: 0 })
})
