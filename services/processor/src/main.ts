// processor: enriches raw events into `events.processed.{project}` and sets aside what is not an event. Wiring only.
import { letterTopic, rawTopicsOf, redriveTopic, replayHeader } from '@millrace/contracts'
import { letterSettings, startGroupWorker, topicFamily } from '@millrace/consumer'
import { adminLater, openKafka } from '@millrace/kafka'
import { bindMetrics, startCpuCost } from '@millrace/observability'
import { createReplayDesk } from '@millrace/operations/replay-orders'
import { runService } from '@millrace/service'
import { openEnrich } from '@millrace/stores/country-database'
import { openPostgres } from '@millrace/stores/postgres'
import { processorRules, processorSpec } from './config.ts'
import { processorMetrics } from './metrics.ts'
import { createProcess } from './process.ts'
import { createToProcessed } from './to-processed.ts'

await runService(
  { name: 'processor', spec: processorSpec, rules: processorRules },
  async ({ config, log, registry, clock, stack, signal, faults, version }) => {
    const kafka = stack.use(await openKafka(config, { log, clientId: 'processor' }))
    const admin = adminLater(kafka)
    const producer = stack.use(await kafka.producer())
    const cost = startCpuCost({ stage: 'process', registry, clock, signal })
    const { CONSUMER_GROUP: group, DATABASE_URL } = config
    const belongs = rawTopicsOf(config.PROJECTS)
    const postgres = stack.use(await openPostgres({ url: DATABASE_URL, poolSize: 1, log, name: 'millrace-processor' }))
    const enrich = await openEnrich(config)
    const consumer = stack.use(
      await startGroupWorker(
        {
          name: 'processor',
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
            scope: 'lane'
          },
          decode: createToProcessed(enrich),
          handle: cost.counting(createProcess({ producer, metrics: bindMetrics(processorMetrics, registry), faults })),
          settings: {
            ...letterSettings(config),
            concurrency: config.CONCURRENCY,
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
          desk: createReplayDesk({ postgres, admin, group, belongs, actor: 'service:processor' }),
          askEveryMs: config.REPLAY_CHECK_MS,
          replaying: { decode: createToProcessed(enrich, { [replayHeader]: '1' }) }
        }
      )
    )
    const checks = { ...consumer.checks, kafka: { critical: true, run: () => admin.brokerCount() } }
    return { ready: consumer.ready, live: consumer.live, done: consumer.done, checks }
  }
)
