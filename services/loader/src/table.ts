// Whether `events_raw` can take what this version writes. The table is migrated before the loader is deployed, so it
// may know more columns than this version, but never fewer and never others under the same name.
import { eventColumns } from '@millrace/contracts'
import { AppError, isPoison } from '@millrace/kernel'
import type { Clickhouse } from '@millrace/stores/clickhouse'

/** The table of raw rows. */
export const table = 'events_raw'

/** A column as the server describes it. */
export interface TableColumn {
  readonly name: string
  readonly type: string
}

/** One sentence per column that this version writes and `columns` lacks or has with another type. */
export function columnDifferences(columns: readonly TableColumn[]): readonly string[] {
  const types = new Map(columns.map(({ name, type }) => [name, type]))
  return eventColumns.flatMap(({ name, type }) => {
    const found = types.get(name)
    if (found === type) return []
    return [found === undefined ? `${name} ${type} is missing` : `${name} is ${found}, not ${type}`]
  })
}

/**
 * A check that passes once and is remembered. Throws PIPE_TABLE_DRIFT naming every difference, and
 * PIPE_CLICKHOUSE_UNAVAILABLE while the server cannot be asked.
 */
export function createTableCheck(clickhouse: Pick<Clickhouse, 'rows' | 'database'>): () => Promise<void> {
  let passed = false
  return async function checkTable() {
    if (passed) return
    const columns = await describe(clickhouse)
    const differences = columns.length === 0 ? ['it does not exist'] : columnDifferences(columns)
    if (differences.length > 0) {
      throw new AppError('PIPE_TABLE_DRIFT', `table ${clickhouse.database}.${table}: ${differences.join('; ')}`)
    }
    passed = true
  }
}

/** Poison would make the runtime look for a bad row, and no row is to blame for what the server thinks of its tables. */
async function describe(clickhouse: Pick<Clickhouse, 'rows' | 'database'>): Promise<readonly TableColumn[]> {
  try {
    return await clickhouse.rows<TableColumn>(
      'SELECT name, type FROM system.columns WHERE database = {database:String} AND table = {table:String}',
      { database: clickhouse.database, table }
    )
  } catch (error) {
    if (!isPoison(error)) throw error
    throw new AppError('PIPE_TABLE_DRIFT', `the columns of ${clickhouse.database}.${table} cannot be read`, {
      cause: error
    })
  }
}
