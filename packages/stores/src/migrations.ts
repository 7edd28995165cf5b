// Brings a database to the state of its folder of SQL files: one runner and one bookkeeping table for PostgreSQL and
// ClickHouse. Each file runs once; running again after a kill at any point completes the work.
import type { Logger } from '@millrace/observability'
import { withAdvisoryLock } from './advisory-lock.ts'
import { clickhouseTarget, openClickhouse } from './clickhouse.ts'
import type { Clickhouse } from './clickhouse.ts'
import { planMigrations, readMigrations } from './migration-plan.ts'
import type { AppliedMigration, Migration } from './migration-plan.ts'
import type { Queryable } from './postgres-run.ts'
import { namesMadeBy, rewriteOf, splitStatements, statementsToRepeat } from './sql-statements.ts'

export interface MigrationOptions {
  /** For PostgreSQL the direct URL, for ClickHouse the URL with the database to fill. */
  readonly url: string
  /** Folder of `0001_words.sql` files, with a slash at the end. */
  readonly folder: URL
  readonly log: Logger
}

/**
 * Applies what is pending, each file in its own transaction, while holding an advisory lock: processes that start
 * together apply everything once. Returns the names of the applied files. Throws PIPE_MIGRATION_DRIFT,
 * PIPE_POSTGRES_UNAVAILABLE, PIPE_POSTGRES_REFUSED.
 */
export async function migratePostgres({ url, folder, log }: MigrationOptions): Promise<readonly string[]> {
  const files = await readMigrations(folder)
  return await withAdvisoryLock(url, 'millrace:migrations', async (connection) => {
    await connection.query(`CREATE TABLE IF NOT EXISTS schema_migrations (
      number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
    )`)
    const applied = await connection.query<AppliedMigration & Record<string, unknown>>(
      'SELECT number, name, checksum FROM schema_migrations ORDER BY number'
    )
    const pending = planMigrations(files, applied)
    for (const migration of pending) {
      await applyPostgres(connection, migration)
      log.info({ migration: migration.name, database: 'postgres' }, 'migration applied')
    }
    return pending.map(({ name }) => name)
  })
}

/**
 * Creates the database of the URL when it is missing and applies what is pending, statement by statement; a file is
 * noted when its last statement ended. ClickHouse has no transactions, so every statement must bear being run again
 * (IF NOT EXISTS, OR REPLACE), and the caller sees to it that one process migrates at a time. What writes old parts anew
 * goes on behind it and is not begun twice. Throws PIPE_MIGRATION_DRIFT, PIPE_CLICKHOUSE_UNAVAILABLE,
 * PIPE_CLICKHOUSE_QUERY.
 */
export async function migrateClickhouse({ url, folder, log }: MigrationOptions): Promise<readonly string[]> {
  const files = await readMigrations(folder)
  await createDatabase(url, log)
  await using clickhouse = await openClickhouse({ url, log, applicationName: 'millrace-migrations' })
  await clickhouse.command(`CREATE TABLE IF NOT EXISTS schema_migrations (
    number UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
  ) ENGINE = ReplacingMergeTree ORDER BY number`)
  const applied = await clickhouse.rows<AppliedMigration>(
    'SELECT number, name, checksum FROM schema_migrations FINAL ORDER BY number'
  )
  const pending = planMigrations(files, applied)
  for (const { number, name, checksum, sql } of pending) {
    for (const statement of splitStatements(sql)) await apply(clickhouse, statement)
    const note = Buffer.from(`${JSON.stringify({ number, name, checksum })}\n`)
    await clickhouse.insertLines('schema_migrations', ['number', 'name', 'checksum'], note)
    log.info({ migration: name, database: 'clickhouse' }, 'migration applied')
  }
  return pending.map(({ name }) => name)
}

/**
 * `migrateClickhouse`, and then every statement again, whatever is noted: what was dropped is made, and what an earlier
 * restore left half done is completed. Resolves with the names of what was missing. Throws as `migrateClickhouse`.
 */
export async function restoreClickhouse(options: MigrationOptions): Promise<readonly string[]> {
  const { url, folder, log } = options
  await migrateClickhouse(options)
  const statements = (await readMigrations(folder)).flatMap(({ sql }) => splitStatements(sql))
  await using clickhouse = await openClickhouse({ url, log, applicationName: 'millrace-migrations' })
  const rows = await clickhouse.rows<{ name: string }>(
    'SELECT name FROM system.tables WHERE database = {database:String}',
    { database: clickhouse.database }
  )
  const present = new Set(rows.map(({ name }) => name))
  const missing = namesMadeBy(statements).filter((name) => !present.has(name))
  for (const statement of statementsToRepeat(statements, present)) await apply(clickhouse, statement)
  if (missing.length > 0) log.info({ missing, database: 'clickhouse' }, 'migrations applied again')
  return missing
}

async function applyPostgres(connection: Queryable, { number, name, checksum, sql }: Migration): Promise<void> {
  await connection.query('BEGIN')
  try {
    await connection.query(sql)
    await connection.query('INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)', [
      number,
      name,
      checksum
    ])
    await connection.query('COMMIT')
  } catch (error) {
    // The first error says what is wrong; a connection that cannot roll back is closed by the caller anyway.
    await connection.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

/**
 * Runs `statement`. What writes parts anew goes on behind the reply, since it may take hours, and is not begun while the
 * server is still at it from an earlier run.
 */
async function apply(clickhouse: Clickhouse, statement: string): Promise<void> {
  const rewrite = rewriteOf(statement)
  if (rewrite === undefined) return await clickhouse.command(statement)
  const rows = await clickhouse.rows<{ command: string }>(
    `SELECT trim(BOTH '()' FROM command) AS command FROM system.mutations
     WHERE database = {database:String} AND table = {table:String} AND NOT is_done`,
    { database: clickhouse.database, table: rewrite.table }
  )
  const running = new Set(rows.map(({ command }) => command))
  if (rewrite.commands.every((command) => running.has(command))) return
  await clickhouse.command(statement, { settings: { mutations_sync: 0, alter_sync: 0 } })
}

async function createDatabase(url: string, log: Logger): Promise<void> {
  const { database } = clickhouseTarget(url)
  const anywhere = new URL(url)
  anywhere.pathname = '/default'
  await using clickhouse = await openClickhouse({ url: anywhere.href, log, applicationName: 'millrace-migrations' })
  await clickhouse.command(`CREATE DATABASE IF NOT EXISTS \`${database}\` ENGINE = Atomic`)
}
