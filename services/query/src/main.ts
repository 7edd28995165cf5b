// query: answers SQL over the events of a project. Wiring only.
import { runService } from '@millrace/service'
import { bindMetrics } from '@millrace/observability'
import { createKeyStore } from '@millrace/stores/api-keys'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import { createQueryApp } from './app.ts'
import { createBulkhead } from './bulkhead.ts'
import { querySpec } from './config.ts'
import { queryMetrics } from './metrics.ts'
import { createRunQuery } from './run-query.ts'
import { loadGate } from './sql/gate.ts'

await runService({ name: 'query', spec: querySpec }, async ({ config, log, registry, clock, stack }) => {
  await loadGate()
  const postgres = stack.use(
    await openPostgres({ url: config.DATABASE_URL, poolSize: config.DATABASE_POOL_SIZE, log, name: 'query' })
  )
  const clickhouse = stack.use(
    await openClickhouse({
      url: config.CLICKHOUSE_URL,
      log,
      applicationName: 'millrace-query',
      maxConnections: config.QUERY_CONCURRENCY + 2,
      requestTimeoutMs: config.QUERY_TIMEOUT_MS + 5_000
    })
  )
  const metrics = bindMetrics(queryMetrics, registry)
  const bulkhead = createBulkhead({
    running: config.QUERY_CONCURRENCY,
    queued: config.QUERY_QUEUE,
    waitMs: config.QUERY_QUEUE_MS,
    clock
  })
  const run = createRunQuery(clickhouse, {
    timeoutMs: config.QUERY_TIMEOUT_MS,
    maxResultRows: config.QUERY_MAX_RESULT_ROWS,
    maxResultBytes: config.QUERY_MAX_RESULT_BYTES,
    maxReadRows: config.QUERY_MAX_READ_ROWS,
    maxMemoryBytes: config.QUERY_MAX_MEMORY_BYTES,
    maxThreads: config.QUERY_MAX_THREADS
  })
  const keys = createKeyStore({ postgres, pepper: config.API_KEY_PEPPER, clock, log })
  const app = createQueryApp({ keys, run, bulkhead, metrics, log, clock })
  return {
    ready: () => true,
    app,
    checks: {
      clickhouse: { critical: false, run: () => clickhouse.ping() },
      database: { critical: false, run: () => postgres.ping() }
    }
  }
})
