// One batch of one table -> one synchronous INSERT. It is done when its promise resolves, and in doubt otherwise.
// Nothing here trusts the server to recognise a repeat: block deduplication is off, since its memory outlives its data.
import { randomUUID } from 'node:crypto'
import type { Clickhouse, ClickhouseSettings } from '@millrace/stores/clickhouse'
import { joinLines } from '@millrace/stores/tab-lines'
import type { Line } from '@millrace/stores/tab-lines'
import type { WarehouseTable } from './tables.ts'

/**
 * `max_partitions_per_insert_block` 0: an insert that touches many months must not fail with the code of overload. Times
 * are written as the plain reader takes them, which is the faster one.
 */
export const insertSettings: ClickhouseSettings = {
  async_insert: 0,
  insert_deduplicate: 0,
  max_partitions_per_insert_block: 0,
  date_time_input_format: 'basic'
}

export interface InsertOptions {
  readonly signal?: AbortSignal
  /** Beside `insertSettings`. */
  readonly settings?: ClickhouseSettings
}

/**
 * Inserts `lines` into `table` and resolves with their bytes; no lines are no request. Throws PIPE_CLICKHOUSE_REFUSED
 * when the rows are to blame, PIPE_CLICKHOUSE_UNAVAILABLE for every other failure, and the reason of `signal`.
 */
export async function insertLines(
  clickhouse: Pick<Clickhouse, 'insertLines'>,
  table: Pick<WarehouseTable, 'name' | 'columns'>,
  lines: readonly Line[],
  { signal, settings = {} }: InsertOptions = {}
): Promise<number> {
  if (lines.length === 0) return 0
  const pieces = joinLines(lines)
  const columns = table.columns.map(({ name }) => name)
  await clickhouse.insertLines(table.name, columns, pieces, {
    format: 'TabSeparated',
    // A server refuses the id of a statement that still runs, so every attempt has its own.
    queryId: `load:${randomUUID()}`,
    settings: { ...insertSettings, ...settings },
    ...(signal === undefined ? {} : { signal })
  })
  return pieces.reduce((sum, { byteLength }) => sum + byteLength, 0)
}
