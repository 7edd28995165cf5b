// Work that only one process of the deployment may do at a time. The lock belongs to a session, so it needs a
// connection of its own that no transaction pooler shares: the direct URL.
import { Client } from 'pg'
import { AppError } from '@millrace/kernel'
import { toPostgresError } from './postgres-errors.ts'
import { createRun } from './postgres-run.ts'
import type { Queryable, RunQuery } from './postgres-run.ts'

export interface AdvisoryLockOptions {
  /** How long to wait for the present holder; PIPE_DEADLINE after that. Default 60 s. */
  readonly waitMs?: number
}

/**
 * Runs `fn` while this process holds the lock named `key` on the database of `directUrl`, and gives `fn` the locked
 * connection. The lock ends with the connection, whatever happens. Throws PIPE_DEADLINE when the lock was not free
 * within `waitMs`, PIPE_POSTGRES_UNAVAILABLE when the connection breaks (the work may then have lost its lock), and
 * PIPE_CONFIG_INVALID when a pooler stands between.
 */
export async function withAdvisoryLock<T>(
  directUrl: string,
  key: string,
  fn: (connection: Queryable) => Promise<T>,
  options: AdvisoryLockOptions = {}
): Promise<T> {
  const { waitMs = 60_000 } = options
  const client = new Client({ connectionString: directUrl, connectionTimeoutMillis: 5_000, keepAlive: true })
  const broken = Promise.withResolvers<never>()
  broken.promise.catch(() => undefined)
  client.on('error', (error) => broken.reject(toPostgresError(error, `hold the lock '${key}'`)))
  const query = createRun(client)
  try {
    await client.connect().catch((error: unknown) => {
      throw toPostgresError(error, 'connect for an advisory lock')
    })
    await refusePooler(client, query)
    await query(`SET lock_timeout = ${Math.trunc(waitMs)}`)
    await query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [key]).catch((error: unknown) => {
      if (!(error instanceof AppError) || error.details['sqlstate'] !== '55P03') throw error
      throw new AppError('PIPE_DEADLINE', `the lock '${key}' was not free within ${waitMs} ms`, { cause: error })
    })
    await query('SET lock_timeout = 0')
    return await Promise.race([fn({ query }), broken.promise])
  } finally {
    await client.end().catch(() => undefined)
  }
}

/**
 * Behind a transaction pooler the lock would be taken on a connection that others use and that stays open after us: held by
 * everybody, then by nobody who could release it. A pooler greets with a process id of its own making.
 */
async function refusePooler(client: Client, query: RunQuery): Promise<void> {
  const [row] = await query<{ readonly pid: number }>('SELECT pg_backend_pid() AS pid')
  const greeted: unknown = Reflect.get(client, 'processID')
  if (row?.pid === greeted) return
  throw new AppError(
    'PIPE_CONFIG_INVALID',
    'DATABASE_DIRECT_URL leads through a pooler; locks and migrations need PostgreSQL itself'
  )
}
