// PostgreSQL and ClickHouse: versions, tables as this version needs them, room for connections, space on disks.
import { AppError, isPoison, isTransient, toError } from '@millrace/kernel'
import { planMigrations, readMigrations } from '@millrace/stores/migration-plan'
import type { AppliedMigration } from '@millrace/stores/migration-plan'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Queryable } from '@millrace/stores/postgres'
import { namesMadeBy, splitStatements } from '@millrace/stores/sql-statements'
import { createTableCheck } from '@millrace/warehouse/check-tables'
import { findingsOf, orOk, percent } from './finding.ts'
import type { Finding } from './finding.ts'

export interface DatabaseCheckDeps {
  readonly postgres: Queryable
  readonly clickhouse: Pick<Clickhouse, 'rows' | 'database'>
  /** The folder with `postgres/` and `clickhouse/`. */
  readonly schemas: URL
  /** Connections that the pools of all processes may open together. */
  readonly pools: number
}

const leastPostgres = 150_000
const leastClickhouse = [25, 3] as const
const busyShare = 0.8
/** Pieces of one partition that say that merges fall behind. */
const manyParts = 1_000

/** Version of PostgreSQL. Throws PIPE_POSTGRES_UNAVAILABLE. */
export async function checkPostgres({ postgres }: DatabaseCheckDeps): Promise<readonly Finding[]> {
  const found = findingsOf('postgres')
  const version = await settingOf(postgres, 'server_version')
  const number = Number(await settingOf(postgres, 'server_version_num'))
  return [
    number < leastPostgres
      ? found.failure('server', `version ${version}`, 'PostgreSQL 15 or newer')
      : found.ok('server', `version ${version}`)
  ]
}

/**
 * What all pools may open, and what is open, against max_connections. Behind a pooler the server says the same, and the pools
 * are those of the pooler. Throws PIPE_POSTGRES_UNAVAILABLE.
 */
export async function checkConnections({ postgres, pools }: DatabaseCheckDeps): Promise<readonly Finding[]> {
  const found = findingsOf('connections')
  const most = Number(await settingOf(postgres, 'max_connections'))
  const free = most - Number(await settingOf(postgres, 'superuser_reserved_connections'))
  const [row] = await postgres.query<{ open: string }>(
    `SELECT count(*) AS open FROM pg_stat_activity WHERE backend_type = 'client backend'`
  )
  const open = Number(row?.open ?? 0)
  const fix =
    'PgBouncer in transaction mode before it (docs/scaling.md), a smaller DATABASE_POOL_SIZE, or more max_connections'
  const findings: Finding[] = []
  if (pools > free)
    findings.push(found.failure('pools', `may open ${pools} connections, PostgreSQL takes ${free}`, fix))
  if (open > free * busyShare)
    findings.push(found.warning('server', `${open} of ${free} connections are open (${percent(open, free)})`, fix))
  return orOk(findings, found.ok('server', `${open} of ${free} connections open, the pools may open ${pools}`))
}

/** Version and disks of ClickHouse. Throws PIPE_CLICKHOUSE_UNAVAILABLE. */
export async function checkClickhouse({ clickhouse }: DatabaseCheckDeps): Promise<readonly Finding[]> {
  const found = findingsOf('clickhouse')
  const [row] = await clickhouse.rows<{ version: string }>('SELECT version() AS version')
  const version = row?.version ?? ''
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [leastMajor, leastMinor] = leastClickhouse
  const old = major < leastMajor || (major === leastMajor && minor < leastMinor)
  const parts = await clickhouse.rows<{ table: string; parts: string }>(
    `SELECT table, toString(max(pieces)) AS parts FROM (
       SELECT table, partition_id, count() AS pieces FROM system.parts
       WHERE database = {database:String} AND active GROUP BY table, partition_id
     ) GROUP BY table HAVING max(pieces) > ${manyParts}`,
    { database: clickhouse.database }
  )
  return [
    old
      ? found.failure('server', `version ${version}`, `ClickHouse ${leastClickhouse.join('.')} or newer`)
      : found.ok('server', `version ${version}`),
    ...parts.map(({ table, parts: count }) =>
      found.warning(
        table,
        `${count} parts in one partition: merges fall behind`,
        'larger inserts: BATCH_SIZE, FLUSH_AFTER_MS of the loader; faster disks'
      )
    )
  ]
}

/** Migrations that are pending or changed, tables and views that are missing, columns that are not as this version writes them. */
export async function checkSchemas(deps: DatabaseCheckDeps): Promise<readonly Finding[]> {
  const { postgres, clickhouse, schemas } = deps
  const found = findingsOf('schemas')
  const applied = 'SELECT number, name, checksum FROM schema_migrations'
  const inPostgres = await migrationFindings('PostgreSQL', new URL('postgres/', schemas), () =>
    postgres.query<AppliedMigration & Record<string, unknown>>(`${applied} ORDER BY number`)
  )
  const folder = new URL('clickhouse/', schemas)
  const inClickhouse = await migrationFindings('ClickHouse', folder, () =>
    clickhouse.rows<AppliedMigration>(`${applied} FINAL ORDER BY number`)
  )
  const drift = await tableFindings(clickhouse, folder)
  return orOk(
    [...inPostgres, ...inClickhouse, ...drift],
    found.ok('databases', 'every migration is applied, tables are as this version writes them')
  )
}

async function migrationFindings(
  database: string,
  folder: URL,
  read: () => Promise<readonly AppliedMigration[]>
): Promise<readonly Finding[]> {
  const found = findingsOf('schemas')
  try {
    const pending = planMigrations(await readMigrations(folder), await read())
    return pending.map(({ name }) => found.failure(database, `${name} is not applied`, 'npx millrace migrate'))
  } catch (error) {
    if (isTransient(error)) throw error
    const fix = 'an empty database: npx millrace migrate; else deploy the version that its migrations are of'
    return [found.failure(database, toError(error).message, fix)]
  }
}

async function tableFindings(clickhouse: DatabaseCheckDeps['clickhouse'], folder: URL): Promise<readonly Finding[]> {
  const found = findingsOf('schemas')
  const statements = (await readMigrations(folder)).flatMap(({ sql }) => splitStatements(sql))
  const rows = await clickhouse.rows<{ name: string }>(
    'SELECT name FROM system.tables WHERE database = {database:String}',
    { database: clickhouse.database }
  )
  const present = new Set(rows.map(({ name }) => name))
  const missing = namesMadeBy(statements).filter((name) => !present.has(name))
  if (missing.length > 0) {
    const fix = 'npx millrace archive rebuild makes and fills them (docs/archive.md)'
    return [found.failure('ClickHouse', `missing: ${missing.join(', ')}`, fix)]
  }
  try {
    await createTableCheck(clickhouse)()
    return []
  } catch (error) {
    const isDrift = isPoison(error) || (error instanceof AppError && error.code === 'PIPE_TABLE_DRIFT')
    if (!isDrift) throw error
    const fix = 'undo the change by hand, or deploy the version that needs it'
    return [found.failure('ClickHouse', toError(error).message, fix)]
  }
}

async function settingOf(postgres: Queryable, name: string): Promise<string> {
  const [row] = await postgres.query<{ value: string }>('SELECT current_setting($1) AS value', [name])
  return row?.value ?? ''
}
