// Several ClickHouse servers with the same data as one, for whoever only asks. A question goes to the server with the
// fewest under way. One that does not answer is left out until it answers a check. A question is put to another server
// only when the first one did not begin with it: a query that broke off may have cost much, and may be why it broke off.
import { AppError, withDeadline } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import { bindMetrics } from '@millrace/observability'
import type { BoundMetrics, Logger, Registry } from '@millrace/observability'
import { createBoundedMap } from './bounded-map.ts'
import { openClickhouse } from './clickhouse.ts'
import type { Clickhouse, ClickhouseOptions } from './clickhouse.ts'
import { replicaMetrics } from './metrics.ts'
import { createServerSet } from './server-set.ts'

/** What can be asked of any of the servers. */
export type ClickhouseReader = Pick<
  Clickhouse,
  'database' | 'queryRaw' | 'queryStream' | 'rows' | 'kill' | 'ping' | typeof Symbol.asyncDispose
>

export interface ClickhouseReplicasOptions {
  readonly clock: Clock
  readonly log: Pick<Logger, 'warn' | 'info'>
  readonly metrics: BoundMetrics<typeof replicaMetrics>
  /** Between two checks of a server. Default 1 s. */
  readonly everyMs?: number
  /** A check without an answer for so long has failed. Default 2 s. */
  readonly patienceMs?: number
}

export interface OpenClickhouseReplicasOptions extends ClickhouseOptions {
  /** Beside `url`, with the same data. */
  readonly replicaUrls: readonly string[]
  readonly clock: Clock
  readonly registry: Registry
}

/** Opens clients of `url` and `replicaUrls`. Throws PIPE_CONFIG_INVALID for a URL or when their databases differ. */
export async function openClickhouseReplicas(options: OpenClickhouseReplicasOptions): Promise<ClickhouseReader> {
  const { url, replicaUrls, clock, registry, log } = options
  if (replicaUrls.length === 0) return await openClickhouse(options)
  await using opening = new AsyncDisposableStack()
  const servers: Clickhouse[] = []
  for (const each of [url, ...replicaUrls]) servers.push(opening.use(await openClickhouse({ ...options, url: each })))
  if (new Set(servers.map(({ database }) => database)).size > 1) {
    throw new AppError('PIPE_CONFIG_INVALID', 'CLICKHOUSE_URL and CLICKHOUSE_REPLICA_URLS name different databases')
  }
  const metrics = bindMetrics(replicaMetrics, registry)
  const reader = opening.use(createClickhouseReplicas(servers, { clock, log, metrics }))
  const opened = opening.move()
  return { ...reader, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

/** Queries whose server is known, for an order to end one. */
const rememberedQueries = 10_000

/** One reader of `servers`, which are checked until it is disposed. They are the caller's to dispose. */
export function createClickhouseReplicas(
  servers: readonly ClickhouseReader[],
  { clock, log, metrics, everyMs = 1_000, patienceMs = 2_000 }: ClickhouseReplicasOptions
): ClickhouseReader {
  const set = createServerSet({ store: 'clickhouse', count: servers.length, atFirst: undefined, log, metrics })
  const underWay = servers.map(() => 0)
  const serverOf = createBoundedMap<string, number>(rememberedQueries)
  const stop = new AbortController()
  let turn = 0

  const watch = async (index: number, server: ClickhouseReader): Promise<void> => {
    while (!stop.signal.aborted) {
      const check = server.ping().then(
        () => set.set(index, undefined),
        // Too busy for the check is not away; a server that was left out has to answer it.
        (error: unknown) => (isBusy(error) ? undefined : set.set(index, 'away', error))
      )
      await withDeadline(check, patienceMs, clock, 'check a server').catch((error: unknown) => {
        if (!stop.signal.aborted) set.set(index, 'away', error)
      })
      // One check at a time: each that is not answered holds a connection.
      await check
      await clock.sleep(everyMs, stop.signal).catch(() => undefined)
    }
  }
  for (const [index, server] of servers.entries()) void watch(index, server)

  /** The one with the least to do; of those that are left out only when there is no other. */
  const choose = (tried: ReadonlySet<number>): number => {
    const left = [...servers.keys()].filter((index) => !tried.has(index))
    const usable = left.filter((index) => set.leftOut(index) === undefined)
    const candidates = usable.length > 0 ? usable : left
    const least = Math.min(...candidates.map((index) => underWay[index] ?? 0))
    const idlest = candidates.filter((index) => underWay[index] === least)
    return idlest[turn++ % idlest.length] ?? 0
  }
  const count = (index: number, by: 1 | -1): void => {
    underWay[index] = (underWay[index] ?? 0) + by
  }
  /** What `work` gives at one of the servers; it ends what it counted by calling `done`. */
  const ask = async <T>(
    queryId: string | undefined,
    work: (server: ClickhouseReader, done: () => void) => Promise<T>
  ): Promise<T> => {
    const tried = new Set<number>()
    for (;;) {
      const index = choose(tried)
      const server = servers[index]
      if (server === undefined) throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'there is no server')
      tried.add(index)
      if (queryId !== undefined) serverOf.set(queryId, index)
      const done = (): void => count(index, -1)
      count(index, 1)
      try {
        const answer = await work(server, done)
        metrics.reads.add(1, { store: 'clickhouse', from: index === 0 ? 'primary' : 'replica' })
        return answer
      } catch (error) {
        done()
        if (isUnfit(error)) set.set(index, 'failed', error)
        if (tried.size === servers.length || !isRefusedBeforeRunning(error)) throw error
      }
    }
  }
  const whole = async <T>(queryId: string | undefined, work: (server: ClickhouseReader) => Promise<T>): Promise<T> =>
    await ask(queryId, async (server, done) => {
      const answer = await work(server)
      done()
      return answer
    })
  return {
    database: servers[0]?.database ?? 'default',
    queryRaw: (query) => whole(query.queryId, (server) => server.queryRaw(query)),
    queryStream: (query) =>
      ask(query.queryId, async (server, done) => {
        const stream = await server.queryStream(query)
        if (stream.closed) done()
        else stream.once('close', done)
        return stream
      }),
    rows: <R>(...args: Parameters<Clickhouse['rows']>) => whole(args[2]?.queryId, (server) => server.rows<R>(...args)),
    kill: async (queryId) => {
      const index = serverOf.get(queryId)
      await (index === undefined ? undefined : servers[index])?.kill(queryId)
    },
    ping: () => whole(undefined, (server) => server.ping()),
    [Symbol.asyncDispose]: async () => stop.abort()
  }
}

/** Codes of a server that knows us not, https://github.com/ClickHouse/ClickHouse, ErrorCodes.cpp */
const strangerCodes: ReadonlySet<unknown> = new Set([
  192, // UNKNOWN_USER
  193, // WRONG_PASSWORD
  194, // REQUIRED_PASSWORD
  516 // AUTHENTICATION_FAILED
])

/** Codes with which a server turns a query away that it has no room for. */
const busyCodes: ReadonlySet<unknown> = new Set([
  202, // TOO_MANY_SIMULTANEOUS_QUERIES
  439, // CANNOT_SCHEDULE_TASK
  745 // SERVER_OVERLOADED
])

/** Of a socket that was never connected. */
const unconnected: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN'
])

function isBusy(error: unknown): boolean {
  return error instanceof AppError && busyCodes.has(error.details['code'])
}

function isRefusedBeforeRunning(error: unknown): boolean {
  if (!(error instanceof AppError)) return false
  const { code, errno } = error.details
  return busyCodes.has(code) || strangerCodes.has(code) || unconnected.has(errno)
}

/** It does not answer, or not to us. A caller that gave up is told its own reason, which is none of these. */
function isUnfit(error: unknown): boolean {
  if (!(error instanceof AppError) || error.code !== 'PIPE_CLICKHOUSE_UNAVAILABLE') return false
  const { code } = error.details
  return code === undefined || strangerCodes.has(code)
}
