// query: answers SQL and metrics of a project. Wiring only.
import { createWindowReader } from '@millrace/aggregation/window-reader'
import { bindMetrics } from '@millrace/observability'
import { readDays } from '@millrace/operations/daily-metrics'
import { startDefinitionCache } from '@millrace/operations/definition-cache'
import { runService } from '@millrace/service'
import { createKeyStore } from '@millrace/stores/api-keys'
import { openClickhouseReplicas } from '@millrace/stores/clickhouse-replicas'
import { openPostgres } from '@millrace/stores/postgres'
import { openPostgresReads } from '@millrace/stores/postgres-reads'
import { openRedis } from '@millrace/stores/redis'
import { createPersonReader } from './analysis/persons.ts'
import { createQueryApp } from './app.ts'
import { startAuditLog } from './audit/audit-log.ts'
import { createAuditRows } from './audit/audit-rows.ts'
import { cacheKeyOf } from './cache/cache-key.ts'
import { openCacheReplica } from './cache/cache-replica.ts'
import { auditPolicy, querySpec } from './config.ts'
import { guardWindows } from './metric-reader.ts'
import { queryMetrics } from './metrics.ts'
import { withPlantedKey } from './planted.ts'
import { breakerChecks, createQueryService } from './query-service.ts'
import { createGate, loadGate } from './sql/gate.ts'
import { startTableSchema } from './table-schema.ts'

await runService({ name: 'query', spec: querySpec }, async (context) => {
  const { config, log, registry, clock, stack, signal, planted } = context
  await loadGate()
  const metrics = bindMetrics(queryMetrics, registry)
  const failed = Promise.withResolvers<never>()
  const postgres = stack.use(
    await openPostgres({ url: config.DATABASE_URL, poolSize: config.DATABASE_POOL_SIZE, log, name: 'query' })
  )
  const reads = stack.use(await openPostgresReads({ ...context, primary: postgres, name: 'query' }))
  const clickhouse = stack.use(
    await openClickhouseReplicas({
      url: config.CLICKHOUSE_URL,
      replicaUrls: config.CLICKHOUSE_REPLICA_URLS,
      log,
      clock,
      registry,
      applicationName: 'millrace-query',
      maxConnections: config.QUERY_CONCURRENCY + config.METRICS_CONCURRENCY + 4,
      requestTimeoutMs: config.QUERY_TIMEOUT_MS + 5_000
    })
  )
  const redis = stack.use(
    await openRedis({
      url: config.REDIS_CACHE_URL,
      role: 'cache',
      log,
      commandTimeoutMs: config.CACHE_TIMEOUT_MS,
      requirePolicy: 'when-reachable',
      onPolicyViolation: failed.reject
    })
  )
  const cacheReplica = await openCacheReplica({
    ...context,
    url: config.REDIS_CACHE_REPLICA_URL,
    timeoutMs: config.CACHE_TIMEOUT_MS,
    onPolicyViolation: failed.reject
  })
  if (cacheReplica !== undefined) stack.use(cacheReplica)
  const state = stack.use(
    await openRedis({
      url: config.REDIS_STATE_URL,
      role: 'state',
      log,
      requirePolicy: 'when-reachable',
      onPolicyViolation: failed.reject
    })
  )
  const service = stack.use(createQueryService({ config, clickhouse, redis, cacheReplica, metrics, log, clock }))
  const schema = startTableSchema({ clickhouse, clock, log, signal })
  await schema.tried
  const { CONVERSION_TYPES: conversionTypes, LATENESS_MS: latenessMs } = config
  const definitions = startDefinitionCache({ postgres, clock, log, signal, conversionTypes })
  const { answers, engine, metricsEngine, breakers, cache } = service
  const keyOf = withPlantedKey(cacheKeyOf, planted)
  const audit = stack.use(
    startAuditLog({ rows: createAuditRows(postgres), policy: auditPolicy(config), clock, log, metrics })
  )
  const app = createQueryApp({
    audit,
    keys: createKeyStore({ postgres, reads, pepper: config.API_KEY_PEPPER, clock, log }),
    metrics,
    log,
    clock,
    timeoutMs: config.QUERY_TIMEOUT_MS,
    gate: createGate(),
    answers,
    engine,
    schema,
    persons: createPersonReader(reads, clock),
    keyOf,
    streamMaxRows: config.QUERY_STREAM_MAX_ROWS,
    cache,
    metricSources: {
      windows: guardWindows(createWindowReader(state), breakers.live),
      definitionsOf: async (project) => definitions.of(project),
      daysOf: (wanted) => readDays(reads, wanted),
      conversionTypes,
      latenessMs,
      answers,
      engine: metricsEngine,
      keyOf,
      schemaVersion: schema.version,
      clock
    }
  })
  return {
    ready: () => true,
    done: failed.promise,
    app,
    checks: {
      clickhouse: { critical: false, run: () => clickhouse.ping() },
      database: { critical: false, run: () => postgres.ping() },
      replicas: { critical: false, run: () => reads.check() },
      cache: { critical: false, run: () => redis.ping() },
      state: { critical: false, run: () => state.ping() },
      ...breakerChecks(breakers)
    }
  }
})
