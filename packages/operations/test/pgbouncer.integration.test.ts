// Everything that services do with PostgreSQL, by way of a real PgBouncer in transaction mode: many clients on two
// connections of the server, so that two statements of one client mostly run on different ones.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { withAdvisoryLock } from '@millrace/stores/advisory-lock'
import { createKeyStore } from '@millrace/stores/api-keys'
import { migratePostgres } from '@millrace/stores/migrations'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { openOwnPgbouncer } from '@millrace/testkit/own-pgbouncer'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { readDays, writeDays } from '../src/daily-metrics.ts'
import type { DailyMetric } from '../src/daily-metrics.ts'
import { createKey, revokeKey } from '../src/keys.ts'
import { schemasFolder } from '../src/migrate.ts'
import { listSchemas, pushSchema } from '../src/schemas.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
const pepper = 'pepper'
const serverConnections = 2
let directUrl: string
let pooledUrl: string
let clients: readonly Postgres[]

beforeAll(async () => {
  directUrl = stack.use(await openTestDatabases('pgbouncer')).databaseUrl
  await migratePostgres({ url: directUrl, folder: new URL('postgres/', schemasFolder), log })
  pooledUrl = stack.use(await openOwnPgbouncer(directUrl, serverConnections)).url
  const open = async (): Promise<Postgres> =>
    stack.use(await openPostgres({ url: pooledUrl, poolSize: 5, log, name: 'test' }))
  clients = [await open(), await open(), await open()]
  await clientOf(0).query(`INSERT INTO projects (id, name) VALUES ('shop', 'Shop')`)
})
afterAll(() => stack.disposeAsync())

function clientOf(index: number): Postgres {
  const client = clients[index % clients.length]
  if (client === undefined) throw new Error('no client')
  return client
}

const many = Array.from({ length: 60 }, (_, index) => index)

describe('PostgreSQL behind PgBouncer in transaction mode', () => {
  it('answers statements with parameters of many clients on two connections', async () => {
    const answers = await Promise.all(
      many.map((index) =>
        clientOf(index).query('SELECT $1::int AS n, pg_backend_pid() AS pid, pg_sleep(0.002)', [index])
      )
    )
    expect(answers.map(([row]) => row?.['n'])).toEqual(many)
    expect(new Set(answers.map(([row]) => row?.['pid'])).size).toBe(serverConnections)
  })

  it('leaves nothing prepared and no setting behind on a connection of the server', async () => {
    await Promise.all(
      many.map((index) =>
        clientOf(index).transaction(async (tx) => {
          await tx.query('CREATE TEMPORARY TABLE incoming (n int) ON COMMIT DROP')
          await tx.copy('COPY incoming FROM STDIN', Buffer.from(`${index}\n`))
          expect(await tx.query('SELECT n FROM incoming')).toEqual([{ n: index }])
          expect(await tx.query('SHOW statement_timeout')).toEqual([{ statement_timeout: '10s' }])
        })
      )
    )
    const left = await Promise.all(
      many.map((index) =>
        clientOf(index).query(
          `SELECT (SELECT count(*)::int FROM pg_prepared_statements) AS prepared,
             (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database
               WHERE datname = current_database())) AS locks,
             current_setting('statement_timeout') AS timeout, pg_sleep(0.002)`
        )
      )
    )
    for (const [row] of left) expect(row).toMatchObject({ prepared: 0, locks: 0, timeout: '0' })
  })

  it('keeps a transaction whole, and rolls back one that throws, among those of others', async () => {
    await clientOf(0).query('CREATE TABLE counted (n int)')
    const work = many.map((index) =>
      clientOf(index).transaction(async (tx) => {
        await tx.query('INSERT INTO counted VALUES ($1)', [index])
        if (index % 3 === 0) throw new RangeError('changed my mind')
        await tx.query('INSERT INTO counted VALUES ($1)', [-index])
      })
    )
    const outcomes = await Promise.allSettled(work)
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(20)
    const [row] = await clientOf(1).query('SELECT count(*)::int AS count, sum(n)::int AS sum FROM counted')
    expect(row).toEqual({ count: 80, sum: 0 })
  })

  it('serves keys, days and schemas, whose versions are numbered under a lock of their transaction', async () => {
    const admin = { postgres: clientOf(0), pepper, actor: 'test' }
    const made = await createKey(admin, { projectId: 'shop', kind: 'secret' })
    const keys = createKeyStore({ postgres: clientOf(1), pepper, clock: systemClock, log })
    expect(await keys.authenticate(made.key, 'read')).toMatchObject({ kind: 'ok', projectId: 'shop' })
    await revokeKey(admin, made.keyId)
    const anew = createKeyStore({ postgres: clientOf(2), pepper, clock: systemClock, log })
    expect(await anew.authenticate(made.key, 'read')).toEqual({ kind: 'invalid' })

    const dayMs = Date.UTC(2026, 2, 1)
    const day: DailyMetric = {
      projectId: 'shop',
      dayMs,
      metric: 'events',
      dimensionKey: '',
      dimensionValue: '',
      value: 7,
      count: 7,
      capped: false,
      revision: [1, 1],
      source: 'live'
    }
    await Promise.all(many.map((index) => writeDays(clientOf(index), [{ ...day, value: index, revision: [1, index] }])))
    const wanted = { projectId: 'shop', metric: 'events', fromMs: dayMs, toMs: dayMs + 86_400_000 }
    expect(await readDays(clientOf(1), wanted)).toMatchObject([{ value: 59, revision: [1, 59] }])

    const schema = (index: number) => ({ type: 'object', properties: { [`p${index}`]: { type: 'string' } } })
    await Promise.all(
      many
        .slice(0, 8)
        .map((index) =>
          pushSchema({ postgres: clientOf(index), actor: 'test' }, { projectId: 'shop', eventType: 'x' }, schema(index))
        )
    )
    expect(await listSchemas(clientOf(0), 'shop')).toMatchObject([{ version: 8, versions: 8 }])
  })

  it('refuses to hold a lock of a session through the pooler, which would outlive its holder', async () => {
    const work = withAdvisoryLock(pooledUrl, 'through the pooler', async () => 'alone')
    await expect(work).rejects.toMatchObject({ code: 'PIPE_CONFIG_INVALID' })
    await expect(work).rejects.toThrow('DATABASE_DIRECT_URL')
    const migration = migratePostgres({ url: pooledUrl, folder: new URL('postgres/', schemasFolder), log })
    await expect(migration).rejects.toThrow('DATABASE_DIRECT_URL')
    expect(await withAdvisoryLock(directUrl, 'through the pooler', async () => 'alone', { waitMs: 500 })).toBe('alone')
  })
})
