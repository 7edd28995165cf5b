// Both databases to the state of this version's schemas.
import { migrateClickhouse, migratePostgres, restoreClickhouse } from '@millrace/stores/migrations'
import type { MigrationOptions } from '@millrace/stores/migrations'
import { withAdvisoryLock } from '@millrace/stores/advisory-lock'

/** The folders `postgres/` and `clickhouse/` with the migrations of this version. */
export const schemasFolder = new URL('../../../schemas/', import.meta.url)

export interface MigrateOptions {
  /** PostgreSQL without a pooler between: migrations hold a lock of the session. */
  readonly databaseDirectUrl: string
  readonly clickhouseUrl: string
  readonly log: MigrationOptions['log']
  readonly schemas?: URL
}

/** Names of the files that were applied now. */
export interface Migrated {
  readonly postgres: readonly string[]
  readonly clickhouse: readonly string[]
}

/**
 * Applies all pending migrations. Safe to run from several processes at once: they take turns by a lock in PostgreSQL.
 * Throws PIPE_MIGRATION_DRIFT, or what the databases answer.
 */
export async function migrate(options: MigrateOptions): Promise<Migrated> {
  const { databaseDirectUrl, clickhouseUrl, log, schemas = schemasFolder } = options
  return await withAdvisoryLock(databaseDirectUrl, 'millrace:migrate', async () => ({
    postgres: await migratePostgres({ url: databaseDirectUrl, folder: new URL('postgres/', schemas), log }),
    clickhouse: await migrateClickhouse({ url: clickhouseUrl, folder: new URL('clickhouse/', schemas), log })
  }))
}

/**
 * Makes the tables and views of the warehouse that are missing, whoever dropped them; resolves with their names. Takes
 * turns with `migrate`. Throws PIPE_MIGRATION_DRIFT, or what the databases answer.
 */
export async function restoreWarehouse(options: MigrateOptions): Promise<readonly string[]> {
  const { databaseDirectUrl, clickhouseUrl, log, schemas = schemasFolder } = options
  const files = { url: clickhouseUrl, folder: new URL('clickhouse/', schemas), log }
  return await withAdvisoryLock(databaseDirectUrl, 'millrace:migrate', () => restoreClickhouse(files))
}
