// recorder: keeps every event of the raw log in PostgreSQL for a time. Wiring only.
import { letterTopic, rawTopicsOf, redriveTopic } from '@millrace/contracts'
import { letterSettings, startGroupWorker, topicFamily } from '@millrace/consumer'
import { adminLater, openKafka } from '@millrace/kafka'
import { bindMetrics, startCpuCost } from '@millrace/observability'
import { createReplayDesk } from '@millrace/operations/replay-orders'
import { errorFields, runService } from '@millrace/service'
import { openEnrich } from '@millrace/stores/country-database'
import { openPostgres } from '@millrace/stores/postgres'
import { recorderRules, recorderSpec } from './config.ts'
import { createDays } from './days.ts'
import { recorderMetrics } from './metrics.ts'
import { withPlantedLetters, withPlantedOutage, withPlantedPlaces } from './planted.ts'
import { createRecord } from './record.ts'
import { createToRow, rowBytes } from './to-row.ts'
import { keepDays } from './upkeep.ts'

await runService(
  { name: 'recorder', spec: recorderSpec, rules: recorderRules },
  async ({ config, log, registry, clock, stack, signal, faults, planted, version }) => {
    const postgres = stack.use(
      await openPostgres({
        url: config.DATABASE_URL,
        poolSize: config.DATABASE_POOL_SIZE,
        log,
        name: 'millrace-recorder',
        statementTimeoutMs: config.INSERT_TIMEOUT_MS
      })
    )
    const days = createDays(postgres)
    const metrics = bindMetrics(recorderMetrics, registry)
    const kafka = stack.use(await openKafka(config, { log, clientId: 'recorder' }))
    const admin = adminLater(kafka)
    const producer = stack.use(await kafka.producer())
    const retentionDays = config.RETENTION_DAYS
    const cost = startCpuCost({ stage: 'record', registry, clock, signal })
    const group = config.CONSUMER_GROUP
    const belongs = rawTopicsOf(config.PROJECTS)
    const consumer = stack.use(
      await startGroupWorker(
        {
          name: 'recorder',
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
          decode: createToRow(config.METADATA, await openEnrich(config)),
          itemBytes: rowBytes,
          handle: cost.counting(
            withPlantedOutage(createRecord({ postgres, days, retentionDays, metrics, clock, faults }), planted)
          ),
          settings: {
            ...letterSettings(config),
            // Making the days and the transaction are each bounded by the statement timeout.
            maxHandleMs: config.INSERT_TIMEOUT_MS * 3,
            decodeOnArrival: true,
            totalBytes: 3 * config.BATCH_BYTES,
            sessionTimeoutMs: config.SESSION_TIMEOUT_MS,
            heartbeatIntervalMs: config.HEARTBEAT_INTERVAL_MS,
            topicRefreshMs: config.TOPIC_REFRESH_MS
          }
        },
        {
          client: withPlantedPlaces(kafka.consumers, planted),
          letters: { producer: withPlantedLetters(producer, planted), topicFor: letterTopic, appVersion: version },
          log,
          registry,
          clock,
          signal,
          faults
        },
        {
          desk: createReplayDesk({ postgres, admin, group, belongs, actor: 'service:recorder' }),
          askEveryMs: config.REPLAY_CHECK_MS
        }
      )
    )
    void keepDays({
      days,
      retentionDays,
      clock,
      signal,
      onDropped: (count) => metrics.expired.add(count),
      onFailure: (error) => log.warn(errorFields(error), 'the days of raw_events are looked after later')
    })
    return {
      ready: consumer.ready,
      live: consumer.live,
      done: consumer.done,
      checks: {
        ...consumer.checks,
        kafka: { critical: true, run: () => admin.brokerCount() },
        postgres: { critical: true, run: () => postgres.ping() }
      }
    }
  }
)
