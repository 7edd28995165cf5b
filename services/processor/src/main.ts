// processor: enriches raw events into `events.processed.{project}` and sets aside what is not an event. Wiring only.
import { letterTopic, rawTopicsOf, redriveTopic } from '@millrace/contracts'
import { startConsumer, topicFamily } from '@millrace/consumer'
import { adminLater, openKafka } from '@millrace/kafka'
import { bindMetrics, startCpuCost } from '@millrace/observability'
import { runService } from '@millrace/service'
import { openEnrich } from '@millrace/stores/country-database'
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
    const consumer = stack.use(
      await startConsumer(
        {
          name: 'processor',
          group: config.CONSUMER_GROUP,
          topics: topicFamily({
            admin,
            belongs: rawTopicsOf(config.PROJECTS),
            redrive: redriveTopic(config.CONSUMER_GROUP)
          }),
          policy: {
            maxRows: config.BATCH_SIZE,
            maxBytes: config.BATCH_BYTES,
            maxAgeMs: config.FLUSH_AFTER_MS,
            scope: 'lane'
          },
          decode: createToProcessed(await openEnrich(config)),
          handle: cost.counting(createProcess({ producer, metrics: bindMetrics(processorMetrics, registry), faults })),
          settings: {
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
        }
      )
    )
    const checks = { kafka: { critical: true, run: () => admin.brokerCount() } }
    return { ready: consumer.ready, live: consumer.live, done: consumer.done, checks }
  }
)
