// One batch -> one synchronous INSERT, and "done" only after a clean reply. Any doubt is answered by inserting the same
// rows again: a row is a pure function of its record and its sort key names the event, so repeats collapse. Nothing
// here trusts the server to recognise a repeat: block deduplication is off, since its memory outlives its data.
import { randomUUID } from 'node:crypto'
import { eventColumns } from '@millrace/contracts'
import { AppError, done } from '@millrace/kernel'
import type { Clock, Outcome } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { loaderMetrics } from './metrics.ts'
import { table } from './table.ts'

export interface LoadDeps {
  readonly clickhouse: Pick<Clickhouse, 'insertLines'>
  /** Throws while the table is not known to fit. */
  readonly checkTable: () => Promise<void>
  readonly metrics: BoundMetrics<typeof loaderMetrics>
  readonly clock: Clock
  readonly faults: { at(label: string): void | Promise<void> }
}

const columns = eventColumns.map(({ name }) => name)

/** `max_partitions_per_insert_block` 0: an insert that touches many months must not fail with the code of overload. */
const settings = {
  async_insert: 0,
  insert_deduplicate: 0,
  max_partitions_per_insert_block: 0,
  date_time_input_format: 'best_effort'
}

/**
 * The handler of a batch of row lines. Resolves with `done` for each after a clean reply. Throws
 * PIPE_CLICKHOUSE_REFUSED when the server blames a row, PIPE_CLICKHOUSE_UNAVAILABLE for every other failure, the
 * reason of `signal` when it aborts, and PIPE_TABLE_DRIFT when the table does not fit.
 */
export function createLoad({ clickhouse, checkTable, metrics, clock, faults }: LoadDeps) {
  return async function load(
    { items: lines }: { readonly items: readonly string[] },
    { signal }: { readonly signal: AbortSignal }
  ): Promise<readonly Outcome[]> {
    if (lines.length === 0) return []
    await checkTable()
    const body = Buffer.from(`${lines.join('\n')}\n`)
    await faults.at('loader.before-insert')
    const startedAtMs = clock.monotonic()
    try {
      await clickhouse.insertLines(table, columns, body, { queryId: `load:${randomUUID()}`, settings, signal })
    } catch (error) {
      metrics.doubtful.add(1, { reason: reasonOf(error) })
      throw error
    }
    await faults.at('loader.after-insert')
    metrics.insertSeconds.observe((clock.monotonic() - startedAtMs) / 1_000)
    metrics.rows.add(lines.length)
    metrics.bytes.add(body.byteLength)
    return lines.map(() => done)
  }
}

function reasonOf(error: unknown): 'refused' | 'unavailable' | 'aborted' {
  if (!(error instanceof AppError)) return 'aborted'
  if (error.code === 'PIPE_CLICKHOUSE_REFUSED') return 'refused'
  return error.code === 'PIPE_CLICKHOUSE_UNAVAILABLE' ? 'unavailable' : 'aborted'
}
