// One statement on a pool or a connection, with our errors instead of the client's.
import { toPostgresError } from './postgres-errors.ts'

/** A row as the driver gives it: numbers beyond 32 bits are strings, timestamps are Date, jsonb is parsed. */
export type Row = Readonly<Record<string, unknown>>

/** Runs one statement with `$1` parameters. Throws PIPE_POSTGRES_UNAVAILABLE, PIPE_POSTGRES_REFUSED, PIPE_CONFLICT. */
export type RunQuery = <R extends Row = Row>(text: string, params?: readonly unknown[]) => Promise<readonly R[]>

/** What may run inside a transaction. */
export interface Queryable {
  readonly query: RunQuery
}

interface Runner {
  query(config: { text: string; values: unknown[] }): Promise<{ rows: unknown[] }>
}

/**
 * A RunQuery over `runner`, a pg pool or client. `onLost` is told of failures after which the connection is unusable.
 */
export function createRun(runner: Runner, onLost?: (error: Error) => void): RunQuery {
  return async <R extends Row>(text: string, params: readonly unknown[] = []) => {
    try {
      const { rows } = await runner.query({ text, values: [...params] })
      return rows as R[] // the caller names the columns it selects
    } catch (error) {
      const failure = toPostgresError(error, text.trim().split(/\s+/, 3).join(' '))
      // Without a SQLSTATE the server did not answer: the connection may still be busy and cannot be used again.
      if (failure.details['sqlstate'] === undefined) onLost?.(failure)
      throw failure
    }
  }
}
