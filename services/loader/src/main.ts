// loader: inserts every event of the raw log into ClickHouse. Wiring only.
import { letterTopic, rawTopicsOf, redriveTopic } from '@millrace/contracts'
import { letterSettings, startGroupWorker, topicFamily } from '@millrace/consumer'
import { adminLater, openKafka } from '@millrace/kafka'
import { isTransient } from '@millrace/kernel'
import { bindMetrics, startCpuCost } from '@millrace/observability'
import { createReplayDesk } from '@millrace/operations/replay-orders'
import { errorFields, runService } from '@millrace/service'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { openEnrich } from '@millrace/stores/country-database'
import { openPostgres } from '@millrace/stores/postgres'
import { createTableCheck } from '@millrace/warehouse/check-tables'
import { createToEntry, entryBytes } from '@millrace/warehouse/entry'
import { loaderRules, loaderSpec } from './config.ts'
import { loaderMetrics } from './metrics.ts'
import { createPlantedLoad } from './planted.ts'

await runService(
  { name: 'loader', spec: loaderSpec, rules: loaderRules },
  async ({ config, log, registry, clock, stack, signal, faults, planted, version }) => {
    const clickhouse = stack.use(
      await openClickhouse({
        url: config.CLICKHOUSE_URL,
        log,
        applicationName: 'millrace-loader',
        requestTimeoutMs: config.INSERT_TIMEOUT_MS
      })
    )
    const checkTables = createTableCheck(clickhouse)
    // A server that is down is no reason to stay down: the check is made again before the first insert.
    await checkTables().catch((error: unknown) => {
      if (!isTransient(error)) throw error
      log.warn(errorFields(error), 'clickhouse does not answer, its tables are checked later')
    })
    const kafka = stack.use(await openKafka(config, { log, clientId: 'loader' }))
    const admin = adminLater(kafka)
    const producer = stack.use(await kafka.producer())
    const metrics = bindMetrics(loaderMetrics, registry)
    const load = createPlantedLoad({ clickhouse, checkTables, metrics, clock, faults }, planted)
    const cost = startCpuCost({ stage: 'load', registry, clock, signal })
    const { CONSUMER_GROUP: group, DATABASE_URL } = config
    const belongs = rawTopicsOf(config.PROJECTS)
    const postgres = stack.use(await openPostgres({ url: DATABASE_URL, poolSize: 1, log, name: 'millrace-loader' }))
    const consumer = stack.use(
      await startGroupWorker(
        {
          name: 'loader',
          group,
          topics: topicFamily({
            admin,
            belongs,
            redrive: redriveTopic(group)
          }),
          policy: {
            maxRows: config.BATCH_SIZE,
            maxBytes: config.BATCH_BYTES,
            maxAgeMs: config.FLUSH_AFTER_MS,
            scope: 'process'
          },
          decode: createToEntry(await openEnrich(config)),
          itemBytes: entryBytes,
          handle: cost.counting(load),
          settings: {
            ...letterSettings(config),
            maxHandleMs: config.INSERT_TIMEOUT_MS,
            // Two inserts of different partitions may be on their way, while the rows of the next one are made.
            concurrency: 2,
            decodeOnArrival: true,
            totalBytes: 3 * config.BATCH_BYTES,
            sessionTimeoutMs: config.SESSION_TIMEOUT_MS,
            heartbeatIntervalMs: config.HEARTBEAT_INTERVAL_MS,
            topicRefreshMs: config.TOPIC_REFRESH_MS
          }
        },
        {
          client: kafka.consumers,
          letters: { producer, topicFor: letterTopic, appVersion: version },
          log,
          registry,
          clock,
          signal,
          faults
        },
        {
          desk: createReplayDesk({ postgres, admin, group, belongs, actor: 'service:loader' }),
          askEveryMs: config.REPLAY_CHECK_MS
        }
      )
    )
    return {
      ready: consumer.ready,
      live: consumer.live,
      done: consumer.done,
      checks: {
        ...consumer.checks,
        kafka: { critical: true, run: () => admin.brokerCount() },
        clickhouse: { critical: true, run: () => clickhouse.ping() }
      }
    }
  }
)
