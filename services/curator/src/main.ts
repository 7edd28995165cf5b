// curator: looks after the warehouse. It counts days again, passes over them every night, and applies retention. Wiring only.
import { adminLater, openKafka } from '@millrace/kafka'
import { bindMetrics } from '@millrace/observability'
import { runService } from '@millrace/service'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import { curatorSpec } from './config.ts'
import { createIsLoaded } from './loaded.ts'
import { curatorMetrics } from './metrics.ts'
import { keepCurating, untilAborted } from './tasks.ts'
import { createIsWhole } from './whole.ts'

await runService({ name: 'curator', spec: curatorSpec }, async ({ config, log, registry, clock, stack, signal }) => {
  const postgres = stack.use(
    await openPostgres({
      url: config.DATABASE_URL,
      poolSize: config.DATABASE_POOL_SIZE,
      log,
      name: 'millrace-curator'
    })
  )
  const clickhouse = stack.use(
    await openClickhouse({
      url: config.CLICKHOUSE_URL,
      log,
      applicationName: 'millrace-curator',
      requestTimeoutMs: config.QUERY_TIMEOUT_MS
    })
  )
  const kafka = stack.use(await openKafka(config, { log, clientId: 'curator' }))
  const admin = adminLater(kafka)
  const metrics = bindMetrics(curatorMetrics, registry)
  const warehouse = untilAborted(clickhouse, signal)
  const curating = keepCurating({
    postgres,
    clickhouse: warehouse,
    isWhole: createIsWhole({ postgres, clickhouse: warehouse, admin, group: config.LOADER_GROUP, metrics, log }),
    isLoaded: createIsLoaded(admin, config.LOADER_GROUP, (letters) => metrics.forgotten.add(letters)),
    metrics,
    log,
    clock,
    signal,
    projects: config.PROJECTS,
    conversionTypes: config.CONVERSION_TYPES,
    latenessMs: config.LATENESS_MS,
    settleMs: config.SETTLE_MS,
    passAfterMs: config.PASS_AFTER_MS,
    doublesDays: config.DOUBLES_DAYS,
    everyMs: config.CHECK_EVERY_MS
  })
  stack.defer(() => curating)
  return {
    ready: () => true,
    live: () => true,
    done: curating,
    checks: {
      kafka: { critical: false, run: () => admin.brokerCount() },
      postgres: { critical: true, run: () => postgres.ping() },
      clickhouse: { critical: true, run: () => clickhouse.ping() }
    }
  }
})
