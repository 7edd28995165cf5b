import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { migratePostgres } from '@millrace/stores/migrations'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { writeAudit } from '../src/audit.ts'
import { listAudit, verifyAudit } from '../src/audit-log.ts'
import { schemasFolder } from '../src/migrate.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
let postgres: Postgres

beforeAll(async () => {
  const { databaseUrl: url } = stack.use(await openTestDatabases('audit'))
  await migratePostgres({ url, folder: new URL('postgres/', schemasFolder), log })
  postgres = stack.use(await openPostgres({ url, poolSize: 8, log, name: 'test' }))
})
afterAll(() => stack.disposeAsync())

const entry = (subject: string) =>
  ({ actor: 'test:me', action: 'project.set', projectId: 'shop', subject, before: { a: 1 }, after: { a: 2 } }) as const

it('chains the rows of writers that write at once, in the order of their commits', async () => {
  await Promise.all(
    Array.from({ length: 40 }, (_, at) => postgres.transaction((tx) => writeAudit(tx, entry(`s${at}`))))
  )
  // A writer that gives up leaves no gap.
  await postgres
    .transaction(async (tx) => {
      await writeAudit(tx, entry('given up'))
      throw new Error('no')
    })
    .catch(() => undefined)
  await writeAudit(postgres, entry('last'))
  const { rows, next } = await listAudit(postgres, { limit: 30 })
  expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: 30 }, (_, at) => 41 - at))
  expect(rows[0]).toMatchObject({ ...entry('last'), details: {} })
  const rest = await listAudit(postgres, { limit: 30, ...(next === undefined ? {} : { before: next }) })
  expect([rest.rows.length, rest.next]).toEqual([11, undefined])
  const verified = await verifyAudit(postgres)
  expect(verified).toEqual({ intact: true, rows: 41, head: { number: 41, digest: rows[0]?.digest } })
})

it.each([
  ['a row that was changed', `UPDATE audit_log SET actor = 'somebody' WHERE seq = 7`, 7],
  ['a row that was removed', `DELETE FROM audit_log WHERE seq = 7`, 8],
  ['a row whose digest was made to fit', `UPDATE audit_log SET subject = 'x', digest = sha256('x') WHERE seq = 7`, 7],
  ['a row that was cut off at the end', `DELETE FROM audit_log WHERE seq = 41`, 41]
])('finds %s', async (_what, tampering, brokenAt) => {
  const { head } = await verifyAudit(postgres)
  await postgres
    .transaction(async (tx) => {
      await expect(postgres.query(tampering)).rejects.toThrow('append-only')
      await tx.query('ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only')
      await tx.query(tampering)
      expect(await verifyAudit(tx, head)).toMatchObject({ intact: false, brokenAt })
      throw new Error('put it back')
    })
    .catch((error: unknown) => expect(String(error)).toContain('put it back'))
  expect(await verifyAudit(postgres, head)).toMatchObject({ intact: true })
})
