// The query service on real stores, without a port: what main.ts makes, with keys that are names of projects.
import { builtInMetrics } from '@millrace/aggregation/metrics'
import { createWindowReader } from '@millrace/aggregation/window-reader'
import { load } from '@millrace/config'
import { createPersons } from '@millrace/contracts'
import type { PersonEdge } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { createQueryApp } from '../src/app.ts'
import { cacheKeyOf } from '../src/cache/cache-key.ts'
import { startAuditLog } from '../src/audit/audit-log.ts'
import { createAuditRows } from '../src/audit/audit-rows.ts'
import { auditPolicy, querySpec } from '../src/config.ts'
import { guardWindows } from '../src/metric-reader.ts'
import { queryMetrics } from '../src/metrics.ts'
import { createQueryService } from '../src/query-service.ts'
import { createGate, loadGate } from '../src/sql/gate.ts'
import { startTableSchema } from '../src/table-schema.ts'

const log = createSilentLogger()

/**
 * Opens the service; `env` replaces settings of the test stack, `merges` are those of every project. A key of the form
 * `key-<project>` is a secret key of it.
 */
export async function openQuery(env: Readonly<Record<string, string>> = {}, merges: readonly PersonEdge[] = []) {
  await loadGate()
  await using opening = new AsyncDisposableStack()
  const config = load(querySpec, {
    ...testEndpoints(),
    API_KEY_PEPPER: 'test',
    CACHE_TIMEOUT_MS: '1000',
    QUERY_AUDIT: 'off',
    ...env
  })
  const registry = createRegistry()
  const metrics = bindMetrics(queryMetrics, registry)
  const url = config.CLICKHOUSE_URL
  const clickhouse = opening.use(await openClickhouse({ url, log, applicationName: 'test', maxConnections: 20 }))
  const redis = opening.use(
    await openRedis({
      url: config.REDIS_CACHE_URL,
      role: 'cache',
      log,
      requirePolicy: 'when-reachable',
      commandTimeoutMs: config.CACHE_TIMEOUT_MS
    })
  )
  const clock = systemClock
  const state = opening.use(
    await openRedis({ url: config.REDIS_STATE_URL, role: 'state', log, requirePolicy: 'when-reachable' })
  )
  const stop = new AbortController()
  opening.defer(() => stop.abort())
  const tables = startTableSchema({ clickhouse, clock, log, signal: stop.signal })
  // Answers of tests must not be void because the columns were read in between.
  const schema = { version: () => 'test', tables: tables.tables }
  const service = opening.use(createQueryService({ config, clickhouse, redis, metrics, log, clock }))
  const postgres = opening.use(await openPostgres({ url: config.DATABASE_URL, poolSize: 1, log, name: 'test' }))
  const audit = opening.use(
    startAuditLog({ rows: createAuditRows(postgres), policy: auditPolicy(config), clock, log, metrics })
  )
  const app = createQueryApp({
    audit,
    keys: {
      authenticate: (raw) =>
        raw.startsWith('key-') ? ({ kind: 'ok', projectId: raw.slice(4), keyId: 'key' } as never) : { kind: 'invalid' }
    },
    gate: createGate(),
    engine: service.engine,
    answers: service.answers,
    cache: service.cache,
    schema,
    persons: { of: async () => createPersons(merges) },
    keyOf: cacheKeyOf,
    metricSources: {
      windows: guardWindows(createWindowReader(state), service.breakers.live),
      definitionsOf: async () => builtInMetrics(['purchase']),
      daysOf: async () => [],
      conversionTypes: ['purchase'],
      latenessMs: config.LATENESS_MS,
      answers: service.answers,
      engine: service.metricsEngine,
      keyOf: cacheKeyOf,
      schemaVersion: schema.version,
      clock
    },
    streamMaxRows: config.QUERY_STREAM_MAX_ROWS,
    timeoutMs: config.QUERY_TIMEOUT_MS,
    metrics,
    log,
    clock
  })
  const opened = opening.move()
  const series = async (name: string): Promise<number> => {
    const line = (await registry.metrics()).split('\n').find((each) => each.startsWith(`${name} `))
    return Number(line?.split(' ').at(-1) ?? 0)
  }
  return {
    app,
    service,
    clickhouse,
    postgres,
    redis,
    /** Value of a series with its labels; 0 when there is none. */
    series,
    get: (project: string, sql: string, headers: Record<string, string> = {}, values: Record<string, string> = {}) =>
      app.inject({
        url: '/v1/query',
        query: { sql, ...values },
        headers: { 'x-api-key': `key-${project}`, ...headers }
      }),
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}
