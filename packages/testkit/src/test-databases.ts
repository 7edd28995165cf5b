// A PostgreSQL and a ClickHouse database for one test file, made with a new name and dropped afterwards.
import { createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import { guardTestDatabase } from './database-guard.ts'
import { testEndpoints } from './endpoints.ts'
import { uniqueDatabase } from './unique.ts'

export interface TestDatabases extends AsyncDisposable {
  readonly databaseUrl: string
  readonly clickhouseUrl: string
}

/**
 * Makes an empty PostgreSQL database; the one of ClickHouse is only named, since migrations create it. Disposing drops
 * both, whoever is still connected.
 */
export async function openTestDatabases(prefix: string): Promise<TestDatabases> {
  const log = createSilentLogger()
  const endpoints = testEndpoints()
  const database = guardTestDatabase(uniqueDatabase(prefix))
  await using stack = new AsyncDisposableStack()
  const server = { url: endpoints.DATABASE_URL, poolSize: 1, log, name: 'test', statementTimeoutMs: 60_000 }
  const postgres = stack.use(await openPostgres(server))
  const clickhouseServer = { url: withDatabase(endpoints.CLICKHOUSE_URL, 'default'), log, applicationName: 'test' }
  const clickhouse = stack.use(await openClickhouse(clickhouseServer))
  await postgres.query(`CREATE DATABASE "${database}"`)
  stack.defer(async () => {
    await clickhouse.command(`DROP DATABASE IF EXISTS \`${database}\``)
    await postgres.query(`DROP DATABASE "${database}" WITH (FORCE)`)
  })
  const opened = stack.move()
  return {
    databaseUrl: withDatabase(endpoints.DATABASE_URL, database),
    clickhouseUrl: withDatabase(endpoints.CLICKHOUSE_URL, database),
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

function withDatabase(url: string, database: string): string {
  const changed = new URL(url)
  changed.pathname = `/${database}`
  return changed.href
}
