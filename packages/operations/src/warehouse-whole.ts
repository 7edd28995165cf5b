// Whether the warehouse holds everything that the loaders ever took. Positions of a group do not tell: tables that were
// lost and made anew are empty while the group stands at its end. So the ids of tables that are known to be whole are kept
// in PostgreSQL, and tables with other ids are not believed until somebody who filled them says so.
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Queryable, Row } from '@millrace/stores/postgres'
import { warehouseTables } from '@millrace/warehouse/tables'

export interface WholeDeps {
  readonly postgres: Queryable
  readonly clickhouse: Pick<Clickhouse, 'rows'>
}

/** `first`: nobody has noted anything yet; `other`: the tables are missing, or not those that were noted. */
export type Wholeness = 'whole' | 'first' | 'other'

/**
 * Notes that the tables which are there now hold everything: at the end of a rebuild of all projects in which no file was
 * broken and no record refused. False, and nothing is noted, when a table is missing. Throws PIPE_CLICKHOUSE_UNAVAILABLE,
 * PIPE_POSTGRES_UNAVAILABLE.
 */
export async function noteWarehouseWhole({ postgres, clickhouse }: WholeDeps): Promise<boolean> {
  const tables = await tableIds(clickhouse)
  if (tables === undefined) return false
  await postgres.query(
    `INSERT INTO warehouse_whole AS held (tables) VALUES ($1)
     ON CONFLICT (only_row) DO UPDATE SET tables = EXCLUDED.tables, noted_at = now()
     WHERE held.tables <> EXCLUDED.tables`,
    [tables]
  )
  return true
}

/** Whether the tables that are there now are those that were noted. Throws as `noteWarehouseWhole`. */
export async function warehouseWholeness({ postgres, clickhouse }: WholeDeps): Promise<Wholeness> {
  const tables = await tableIds(clickhouse)
  const [noted] = await postgres.query<NotedRow>('SELECT tables FROM warehouse_whole')
  if (tables === undefined) return 'other'
  if (noted === undefined) return 'first'
  return noted.tables === tables ? 'whole' : 'other'
}

interface NotedRow extends Row {
  readonly tables: string
}

/** Names and ids of all tables that loaders write, as one text; undefined when one of them is missing. */
async function tableIds(clickhouse: Pick<Clickhouse, 'rows'>): Promise<string | undefined> {
  const names = warehouseTables.map(({ name }) => name)
  const rows = await clickhouse.rows<{ id: string }>(
    `SELECT concat(name, ' ', toString(uuid)) AS id FROM system.tables
     WHERE database = currentDatabase() AND name IN {names:Array(String)} ORDER BY name`,
    { names }
  )
  return rows.length < names.length ? undefined : rows.map(({ id }) => id).join(', ')
}
