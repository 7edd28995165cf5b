// Reads of PostgreSQL that bear being a little late, answered by a replica. One that does not answer, or is behind by more
// than a bound, is left out; the primary answers in its place. Everything else asks the primary.
//
// Who may ask here: look-ups of API keys, which ask the primary once more before they refuse one, and what the query service
// reads to answer (docs/scaling-reads.md lists it). Whoever writes by what it reads, or compares two reads, may not: two
// replicas are late differently.
import { AppError, isTransient, withDeadline } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { bindMetrics } from '@millrace/observability'
import type { BoundMetrics, Logger, Registry } from '@millrace/observability'
import { replicaMetrics } from './metrics.ts'
import { openPostgres } from './postgres.ts'
import type { Queryable, Row } from './postgres-run.ts'
import { createReplicaLag } from './replica-lag.ts'
import { createServerSet } from './server-set.ts'

/** Rows, and who gave them. */
export interface ReadFrom<R extends Row> {
  readonly rows: readonly R[]
  readonly from: 'replica' | 'primary'
  /** On the monotonic clock: what was written before is in them. */
  readonly checkedAtMs: number
}

export interface PostgresReads extends Queryable, AsyncDisposable {
  /** `query`, and who answered. Throws as `query` of the primary. */
  ask<R extends Row = Row>(text: string, params?: readonly unknown[]): Promise<ReadFrom<R>>
  /** Resolves when every replica is asked; throws PIPE_POSTGRES_UNAVAILABLE that says which are left out, and why. */
  check(): Promise<void>
}

export interface PostgresReadsOptions {
  readonly primary: Queryable
  readonly maxLagMs: number
  readonly clock: Clock
  readonly log: Pick<Logger, 'warn' | 'info'>
  readonly metrics: BoundMetrics<typeof replicaMetrics>
  /** A replica that has not answered a read by then is left out, and the primary asked. Default 500 ms. */
  readonly patienceMs?: number
}

/** The settings of a service that say where replicas are. */
export interface ReplicaSettings {
  readonly DATABASE_REPLICA_URLS: readonly string[]
  readonly DATABASE_REPLICA_LAG_MS: number
  /** Connections to each server. */
  readonly DATABASE_POOL_SIZE: number
}

export interface OpenPostgresReadsOptions {
  readonly config: ReplicaSettings
  readonly primary: Queryable
  readonly registry: Registry
  readonly clock: Clock
  readonly log: Logger
  /** Shown in pg_stat_activity. */
  readonly name: string
}

/** Opens pools for the replicas of `config`; without any, everything is asked of the primary. Never waits for a server. */
export async function openPostgresReads(options: OpenPostgresReadsOptions): Promise<PostgresReads> {
  const { config, primary, registry, clock, log, name } = options
  await using opening = new AsyncDisposableStack()
  const replicas: Queryable[] = []
  for (const url of config.DATABASE_REPLICA_URLS) {
    const limits = { statementTimeoutMs: 4_000, connectTimeoutMs: 1_000 }
    replicas.push(opening.use(await openPostgres({ url, poolSize: config.DATABASE_POOL_SIZE, log, name, ...limits })))
  }
  const metrics = bindMetrics(replicaMetrics, registry)
  const maxLagMs = config.DATABASE_REPLICA_LAG_MS
  const reads = opening.use(createPostgresReads(replicas, { primary, maxLagMs, clock, log, metrics }))
  const opened = opening.move()
  return { ...reads, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

const longestPauseMs = 1_000

/** Reads over `replicas`, which are checked until the value is disposed. */
export function createPostgresReads(replicas: readonly Queryable[], options: PostgresReadsOptions): PostgresReads {
  const { primary, maxLagMs, clock, log, metrics, patienceMs = 500 } = options
  const store = 'postgres'
  const servers = createServerSet({ store, count: replicas.length, atFirst: 'unchecked', log, metrics })
  const everyMs = Math.min(longestPauseMs, maxLagMs / 4)
  const lag = createReplicaLag({ primary, replicas, clock, deadlineMs: Math.max(everyMs, 250) })
  const stop = new AbortController()
  let turn = 0

  const whyNot = (replica: number) =>
    servers.leftOut(replica) ?? (lag.isWithin(replica, maxLagMs) ? undefined : 'behind')
  const checkOne = async (replica: number): Promise<void> => {
    try {
      const isReplica = await lag.measure(replica)
      servers.set(replica, !isReplica ? 'no_replica' : lag.isWithin(replica, maxLagMs) ? undefined : 'behind')
    } catch (error) {
      servers.set(replica, 'away', error)
    }
  }
  const watch = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await lag.measurePrimary()
      await Promise.all(replicas.keys().map(checkOne))
      const isMeasured = (replica: number): boolean => [undefined, 'behind'].includes(servers.leftOut(replica))
      const answering = [...replicas.keys()].filter(isMeasured)
      metrics.behind.set(Math.max(0, ...answering.map(lag.behindMs)) / 1_000, { store })
      await clock.sleep(everyMs, stop.signal).catch(() => undefined)
    }
  }
  const watching = replicas.length === 0 ? Promise.resolve() : watch()

  const choose = (): number | undefined => {
    const usable = [...replicas.keys()].filter((replica) => whyNot(replica) === undefined)
    return usable.length === 0 ? undefined : usable[turn++ % usable.length]
  }
  const askReplica: Asker = async (replica, text, params) => {
    try {
      const answer = replicas[replica]?.query(text, params)
      return await withDeadline(Promise.resolve(answer), patienceMs, clock, 'read from a replica')
    } catch (error) {
      // A statement that is wrong is wrong everywhere; all else, a conflict with what is replayed too, is the replica's.
      if (!isTransient(error)) throw error
      servers.set(replica, error instanceof AppError && error.code === 'PIPE_DEADLINE' ? 'slow' : 'failed', error)
      return undefined
    }
  }
  const ask = async <R extends Row>(text: string, params: readonly unknown[] = []): Promise<ReadFrom<R>> => {
    let rows: readonly Row[] | undefined
    let checkedAtMs = Number.NEGATIVE_INFINITY
    // One that fails is left out by then; another is asked only where the primary cannot be.
    for (let tries = 0; rows === undefined && tries < (lag.isPrimaryAway() ? replicas.length : 1); tries++) {
      const replica = choose()
      if (replica === undefined) break
      checkedAtMs = lag.wholeUntilMs(replica)
      rows = await askReplica(replica, text, params)
    }
    const from = rows === undefined ? 'primary' : 'replica'
    if (replicas.length > 0) metrics.reads.add(1, { store, from })
    // Rows have the shape of the statement, whoever answers it.
    if (rows !== undefined) return { rows: rows as readonly R[], from, checkedAtMs }
    const askedAtMs = clock.monotonic()
    return { rows: await primary.query<R>(text, params), from, checkedAtMs: askedAtMs }
  }
  return {
    ask,
    query: async <R extends Row>(text: string, params?: readonly unknown[]) => (await ask<R>(text, params)).rows,
    check: async () => {
      const reasons = [...replicas.keys()].map((replica) => [replica, whyNot(replica)] as const)
      const out = reasons.flatMap(([replica, reason]) =>
        reason === undefined ? [] : [`replica ${replica}: ${reason}`]
      )
      if (out.length > 0) throw new AppError('PIPE_POSTGRES_UNAVAILABLE', out.join(', '))
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await watching
    }
  }
}

/** Rows, or undefined when the replica cannot give them now. */
type Asker = (replica: number, text: string, params: readonly unknown[]) => Promise<readonly Row[] | undefined>
