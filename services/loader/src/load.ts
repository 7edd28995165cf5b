// One batch -> one synchronous INSERT per table, one after the other, and "done" only when all have answered. Any doubt
// is answered by inserting the same rows again, into every table: a row is a pure function of its record and its sort key
// names the event, so repeats collapse.
import { AppError, done } from '@millrace/kernel'
import type { Clock, Outcome } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import type { Clickhouse, ClickhouseSettings } from '@millrace/stores/clickhouse'
import type { WarehouseEntry } from '@millrace/warehouse/entry'
import { insertLines } from '@millrace/warehouse/insert'
import { warehouseTables } from '@millrace/warehouse/tables'
import type { WarehouseTable } from '@millrace/warehouse/tables'
import type { loaderMetrics } from './metrics.ts'
import { byMonth } from './months.ts'

/** What a batch says of the log. */
export interface LoadRange {
  readonly topic: string
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
}

export interface LoadBatch {
  readonly items: readonly WarehouseEntry[]
  readonly ranges: readonly LoadRange[]
}

export interface LoadContext {
  readonly signal: AbortSignal
  /** The time limit begins anew. */
  progress(): void
}

export type Load = (batch: LoadBatch, context: LoadContext) => Promise<readonly Outcome[]>

export interface LoadDeps {
  readonly clickhouse: Pick<Clickhouse, 'insertLines'>
  /** Throws while the tables are not known to fit. */
  readonly checkTables: () => Promise<void>
  readonly metrics: BoundMetrics<typeof loaderMetrics>
  readonly clock: Clock
  readonly faults: { at(label: string): void | Promise<void> }
  /** In this order; default: all. */
  readonly tables?: readonly WarehouseTable[]
  /** Settings of the inserts beside those they always have. */
  readonly settingsOf?: (batch: LoadBatch) => ClickhouseSettings
}

/**
 * The handler of a batch of entries. Resolves with `done` for each after a clean reply of every table. Throws
 * PIPE_CLICKHOUSE_REFUSED when the server blames a row, PIPE_CLICKHOUSE_UNAVAILABLE for every other failure, the
 * reason of `signal` when it aborts, and PIPE_TABLE_DRIFT when a table does not fit.
 */
export function createLoad(deps: LoadDeps): Load {
  const { checkTables, faults, tables = warehouseTables, settingsOf = () => ({}) } = deps
  return async function load(batch, { signal, progress }) {
    const { items } = batch
    if (items.length === 0) return []
    await checkTables()
    await faults.at('loader.before-insert')
    const settings = settingsOf(batch)
    for (const table of tables) {
      await insertBatch(deps, table, items, { signal, settings })
      progress()
      await faults.at(`loader.after-${table.name.replaceAll('_', '-')}`)
    }
    await faults.at('loader.after-insert')
    return items.map(() => done)
  }
}

interface InsertHow {
  readonly signal: AbortSignal
  readonly settings: ClickhouseSettings
}

/** TOO_MANY_PARTS: the server has too many of them, or this one insert would make too many. */
const tooManyParts = 252

/**
 * Inserts the lines of `items`. A server that refuses many months in one insert has them one by one, but only when it
 * takes a row at all: otherwise it is overloaded, and more inserts would make that worse.
 */
async function insertBatch(
  deps: LoadDeps,
  table: WarehouseTable,
  items: readonly WarehouseEntry[],
  how: InsertHow
): Promise<void> {
  try {
    await insert(deps, table, items, how)
  } catch (error) {
    if (!(error instanceof AppError) || error.details['code'] !== tooManyParts) throw error
    const months = byMonth(items)
    if (months.length < 2) throw error
    await insert(deps, table, items.slice(0, 1), how)
    for (const month of months) await insert(deps, table, month, how)
    deps.metrics.apart.add(1)
  }
}

async function insert(
  { clickhouse, metrics, clock }: LoadDeps,
  table: WarehouseTable,
  items: readonly WarehouseEntry[],
  how: InsertHow
): Promise<void> {
  const lines = table.linesOf(items)
  if (lines.length === 0) return
  const startedAtMs = clock.monotonic()
  try {
    const bytes = await insertLines(clickhouse, table, lines, how)
    metrics.bytes.add(bytes)
  } catch (error) {
    metrics.doubtful.add(1, { reason: reasonOf(error) })
    throw error
  }
  metrics.insertSeconds.observe((clock.monotonic() - startedAtMs) / 1_000)
  if (table.name === 'events_raw') metrics.rows.add(lines.length)
  else metrics.sideRows.add(lines.length, { table: table.name })
}

function reasonOf(error: unknown): 'refused' | 'unavailable' | 'aborted' {
  if (!(error instanceof AppError)) return 'aborted'
  if (error.code === 'PIPE_CLICKHOUSE_REFUSED') return 'refused'
  return error.code === 'PIPE_CLICKHOUSE_UNAVAILABLE' ? 'unavailable' : 'aborted'
}
