// PostgreSQL over a pool. Works through PgBouncer in transaction mode: no session state, no named statements, no
// LISTEN; what needs a session (advisory locks, migrations) goes through advisory-lock.ts on the direct URL.
import { Pool } from 'pg'
import type { Logger } from '@millrace/observability'
import { copyInto } from './postgres-copy.ts'
import { toPostgresError } from './postgres-errors.ts'
import { createRun } from './postgres-run.ts'
import type { Queryable } from './postgres-run.ts'

export type { Queryable, Row, RunQuery } from './postgres-run.ts'

/** What may run between BEGIN and COMMIT. */
export interface Transaction extends Queryable {
  /**
   * Runs a `COPY ... FROM STDIN` with `lines` as its text format; see tab-lines.ts. Throws as `query` does; a line that the
   * server refuses ends the transaction.
   */
  copy(statement: string, lines: Buffer): Promise<void>
}

export interface Postgres extends Queryable, AsyncDisposable {
  /**
   * Runs `fn` between BEGIN and COMMIT on one connection; rolls back when it throws. A connection that fails in the
   * rollback is thrown away. A failed COMMIT has an unknown outcome: the caller repeats only what is idempotent.
   */
  transaction<T>(fn: (tx: Transaction) => Promise<T>): Promise<T>
  /** Resolves when a round trip succeeded; throws PIPE_POSTGRES_UNAVAILABLE. */
  ping(): Promise<void>
}

export interface PostgresOptions {
  readonly url: string
  readonly poolSize: number
  readonly log: Logger
  /** Shown in pg_stat_activity. */
  readonly name: string
  /**
   * In a transaction the server ends a statement after this time. Outside of one a pooler leaves no safe place to say
   * so: there the client gives up one second later and closes the connection.
   */
  readonly statementTimeoutMs?: number
  readonly connectTimeoutMs?: number
}

/**
 * Opens a pool; no connection is made before the first query, so a service can start while PostgreSQL is down.
 * Disposing waits for running queries.
 */
export async function openPostgres(options: PostgresOptions): Promise<Postgres> {
  const { log, statementTimeoutMs = 10_000, connectTimeoutMs = 3_000 } = options
  const pool = new Pool({
    connectionString: options.url,
    max: options.poolSize,
    application_name: options.name,
    connectionTimeoutMillis: connectTimeoutMs,
    idleTimeoutMillis: 30_000,
    query_timeout: statementTimeoutMs + 1_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000
  })
  // An idle connection that breaks is reported here; without a listener the process would end.
  pool.on('error', (error) => log.warn({ err: error }, 'idle postgres connection lost'))
  const run = createRun(pool)
  return {
    query: run,
    transaction: (fn) => inTransaction(pool, statementTimeoutMs, fn),
    ping: async () => {
      await run('SELECT 1')
    },
    [Symbol.asyncDispose]: () => pool.end()
  }
}

async function inTransaction<T>(
  pool: Pool,
  statementTimeoutMs: number,
  fn: (tx: Transaction) => Promise<T>
): Promise<T> {
  const client = await pool.connect().catch((error: unknown) => {
    throw toPostgresError(error, 'connect')
  })
  let lost: Error | undefined
  const onLost = (error: Error): void => {
    lost = error
  }
  // pg emits `error` on a checked-out client whose socket dies between two queries; unheard, it would end the process.
  client.on('error', onLost)
  const query = createRun(client, onLost)
  try {
    await query('BEGIN')
    // SET LOCAL ends with the transaction, so it is safe behind a transaction pooler, unlike SET or startup options.
    await query(`SET LOCAL statement_timeout = ${Math.trunc(statementTimeoutMs)}`)
    const result = await fn({ query, copy: copyInto(client, onLost) })
    await query('COMMIT')
    return result
  } catch (error) {
    if (lost === undefined) await query('ROLLBACK').catch(onLost)
    throw error
  } finally {
    client.off('error', onLost)
    client.release(lost)
  }
}
