// The columns of the readable tables as the engine has them now, read again every minute: a migration changes them while
// this service runs, and answers of before then have other names in the cache.
import { createHash } from 'node:crypto'
import { toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { readableTables } from './sql/vocabulary.ts'

export interface Column {
  readonly name: string
  readonly type: string
}

export interface Table {
  readonly name: string
  readonly columns: readonly Column[]
}

export interface TableSchema {
  /** Undefined while the engine has not been reached yet. */
  tables(): readonly Table[] | undefined
  /** Changes with the columns. */
  version(): string
  /** Resolves after the first attempt to read them, in two seconds at most: answers made before have other names. */
  readonly tried: Promise<void>
}

export interface TableSchemaDeps {
  readonly clickhouse: Pick<Clickhouse, 'rows'>
  readonly clock: Clock
  readonly log: Pick<Logger, 'debug'>
  readonly signal: AbortSignal
  /** Default one minute. */
  readonly everyMs?: number
}

const firstTryMs = 2_000

/** Begins to read the columns, until `signal` aborts. */
export function startTableSchema(deps: TableSchemaDeps): TableSchema {
  const { clickhouse, clock, log, signal, everyMs = 60_000 } = deps
  let tables: readonly Table[] | undefined
  let version = 'unknown'

  const read = async (): Promise<void> => {
    const described: Table[] = []
    for (const name of readableTables) {
      // A table that the migrations have not made yet is not described.
      const columns = await clickhouse.rows<Column>(
        `SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {name:String}`,
        {
          name
        }
      )
      if (columns.length > 0) described.push({ name, columns })
    }
    tables = described
    version = createHash('sha256').update(JSON.stringify(described)).digest('base64url').slice(0, 12)
  }
  const tried = Promise.withResolvers<void>()
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      await read().catch((error: unknown) => log.debug({ err: toError(error) }, 'tables not described'))
      tried.resolve()
      await clock.sleep(tables === undefined ? Math.min(1_000, everyMs) : everyMs, signal).catch(() => undefined)
    }
  }
  void run()
  clock.timer(firstTryMs, tried.resolve)
  return { tables: () => tables, version: () => version, tried: tried.promise }
}
