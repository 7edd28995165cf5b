// Whether the tables can take what this version writes. They are migrated before a loader is deployed, so they may know
// more columns than this version, but never fewer and never others under the same name; and rows collapse by the sorting
// key, so another one would show copies twice. One that only goes on behind the known one does not: what this version leaves
// out of a row is the same in every copy.
import { AppError, isPoison } from '@millrace/kernel'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { WarehouseColumn } from './columns.ts'
import { warehouseTables } from './tables.ts'
import type { WarehouseTable } from './tables.ts'

/** A table as the server describes it. */
export interface FoundTable {
  readonly sortingKey: string
  readonly columns: readonly WarehouseColumn[]
}

/** One sentence for everything about `found` that does not fit `table`. */
export function tableDifferences(table: WarehouseTable, found: FoundTable | undefined): readonly string[] {
  if (found === undefined) return ['it does not exist']
  const types = new Map(found.columns.map(({ name, type }) => [name, type]))
  const differences = table.columns.flatMap(({ name, type }) => {
    const there = types.get(name)
    if (there === type) return []
    return [there === undefined ? `${name} ${type} is missing` : `${name} is ${there}, not ${type}`]
  })
  if (found.sortingKey !== table.sortingKey && !found.sortingKey.startsWith(`${table.sortingKey}, `))
    differences.push(`it is sorted by (${found.sortingKey}), not by (${table.sortingKey})`)
  return differences
}

/**
 * A check of every table that passes once and is remembered. Throws PIPE_TABLE_DRIFT naming every difference, and
 * PIPE_CLICKHOUSE_UNAVAILABLE while the server cannot be asked.
 */
export function createTableCheck(clickhouse: Pick<Clickhouse, 'rows' | 'database'>): () => Promise<void> {
  let passed = false
  return async function checkTables() {
    if (passed) return
    const found = await describe(clickhouse)
    const problems = warehouseTables.flatMap((table) => {
      const differences = tableDifferences(table, found.get(table.name))
      return differences.length === 0 ? [] : [`table ${clickhouse.database}.${table.name}: ${differences.join('; ')}`]
    })
    if (problems.length > 0) throw new AppError('PIPE_TABLE_DRIFT', problems.join('. '))
    passed = true
  }
}

interface FoundRow {
  readonly table: string
  readonly sortingKey: string
  readonly columns: readonly (readonly [name: string, type: string])[]
}

/** Poison would make a runtime look for a bad row, and no row is to blame for what the server thinks of its tables. */
async function describe(clickhouse: Pick<Clickhouse, 'rows' | 'database'>): Promise<ReadonlyMap<string, FoundTable>> {
  try {
    const rows = await clickhouse.rows<FoundRow>(
      `SELECT columns.table AS table, any(tables.sorting_key) AS sortingKey,
         groupArray([columns.name, columns.type]) AS columns
       FROM system.columns AS columns
       INNER JOIN system.tables AS tables ON tables.database = columns.database AND tables.name = columns.table
       WHERE columns.database = {database:String} AND columns.table IN {tables:Array(String)} GROUP BY columns.table`,
      { database: clickhouse.database, tables: warehouseTables.map(({ name }) => name) }
    )
    return new Map(
      rows.map(({ table, sortingKey, columns }) => [
        table,
        { sortingKey, columns: columns.map(([name, type]) => ({ name, type })) }
      ])
    )
  } catch (error) {
    if (!isPoison(error)) throw error
    throw new AppError('PIPE_TABLE_DRIFT', `the tables of ${clickhouse.database} cannot be read`, { cause: error })
  }
}
