// One batch -> one synchronous INSERT per table, and "done" only when all have answered: the events first, since a row
// that is refused must leave nothing beside them, then the tables beside them together. Any doubt is answered by inserting
// the same rows again, into every table: a row is a pure function of its record and its sort key names the event, so
// repeats collapse.
import { AppError, done } from '@millrace/kernel'
import type { Clock, Outcome } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import type { Clickhouse, ClickhouseSettings } from '@millrace/stores/clickhouse'
import type { WarehouseEntry } from '@millrace/warehouse/entry'
import { insertLines } from '@millrace/warehouse/insert'
import { insertByMonth } from '@millrace/warehouse/months'
import { warehouseTables } from '@millrace/warehouse/tables'
import type { WarehouseTable } from '@millrace/warehouse/tables'
import type { loaderMetrics } from './metrics.ts'

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
  const [first, ...beside] = tables
  return async function load(batch, { signal, progress }) {
    const { items } = batch
    if (items.length === 0) return []
    await checkTables()
    await faults.at('loader.before-insert')
    const settings = settingsOf(batch)
    const fill = async (table: WarehouseTable): Promise<void> => {
      const isApart = await insertByMonth(items, async (some) => {
        await insert(deps, table, some, { signal, settings })
        progress()
      })
      if (isApart) deps.metrics.apart.add(1)
      await faults.at(`loader.after-${table.name.replaceAll('_', '-')}`)
    }
    if (first !== undefined) await fill(first)
    await allOf(beside.map(fill))
    await faults.at('loader.after-insert')
    return items.map(() => done)
  }
}

/** Waits for all of them, after a failure too: nothing of an attempt may run on into the next. Throws the first failure. */
async function allOf(work: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason
}

interface InsertHow {
  readonly signal: AbortSignal
  readonly settings: ClickhouseSettings
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
