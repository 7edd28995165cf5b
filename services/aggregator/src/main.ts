// aggregator: folds every event of the raw log into live windows and sessions in Redis. Wiring only.
import { randomUUID } from 'node:crypto'
import { createBatchApplier } from '@millrace/aggregation/apply-batch'
import { createRedisApply } from '@millrace/aggregation/redis-apply'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { startConsumer, topicFamily } from '@millrace/consumer'
import { createEnrich, letterTopic, rawTopicsOf } from '@millrace/contracts'
import { adminLater, openKafka } from '@millrace/kafka'
import { bindMetrics, startCpuCost } from '@millrace/observability'
import { loadTopicDeclaration } from '@millrace/operations/topics'
import { runService } from '@millrace/service'
import { openRedis } from '@millrace/stores/redis'
import { createAggregate } from './aggregate.ts'
import { createChangedValues } from './changed-values.ts'
import { checkLog } from './check-log.ts'
import { aggregatorRules, aggregatorSpec, foldOptionsOf } from './config.ts'
import { createFirstEpochs } from './first-epochs.ts'
import { createLiveProjects } from './live-projects.ts'
import { aggregatorMetrics } from './metrics.ts'
import { countApplied } from './count-applied.ts'
import { runTasks } from './run-tasks.ts'
import { createTasks, taskIntervals } from './tasks.ts'
import { createToEntry } from './to-entry.ts'

await runService(
  { name: 'aggregator', spec: aggregatorSpec, rules: aggregatorRules },
  async ({ config, log, registry, clock, stack, signal, faults, version }) => {
    const metrics = bindMetrics(aggregatorMetrics, registry)
    const failed = Promise.withResolvers<never>()
    failed.promise.catch(() => undefined)
    const redis = stack.use(
      await openRedis({
        url: config.REDIS_STATE_URL,
        role: 'state',
        log,
        commandTimeoutMs: config.REDIS_TIMEOUT_MS,
        requirePolicy: 'when-reachable',
        onPolicyViolation: failed.reject
      })
    )
    const kafka = stack.use(await openKafka(config, { log, clientId: 'aggregator' }))
    const admin = adminLater(kafka)
    const producer = stack.use(await kafka.producer())
    const options = foldOptionsOf(config)
    const projects = createLiveProjects({
      inForce: createFirstEpochs({ epochs: createRedisEpochs(redis), admin }),
      checkLog: (topic, states) => checkLog(admin, topic, states),
      log,
      onHalted: (counts) => {
        for (const [reason, count] of counts) metrics.halted.set(count, { reason })
      }
    })
    const applier = createBatchApplier({
      apply: createRedisApply(redis),
      callId: randomUUID,
      onApplied: countApplied(metrics)
    })
    const changed = createChangedValues()
    const cost = startCpuCost({ stage: 'aggregate', registry, clock, signal })
    const consumer = stack.use(
      await startConsumer(
        {
          name: 'aggregator',
          group: config.CONSUMER_GROUP,
          topics: topicFamily({ admin, belongs: rawTopicsOf(config.PROJECTS) }),
          policy: {
            maxRows: config.BATCH_SIZE,
            maxBytes: config.BATCH_BYTES,
            maxAgeMs: config.FLUSH_AFTER_MS,
            behindAgeMs: config.FLUSH_BEHIND_MS,
            scope: 'lane'
          },
          startAt: (assigned) => {
            applier.forget()
            changed.clear()
            return projects.startAt(assigned)
          },
          decode: createToEntry(createEnrich()),
          handle: cost.counting(createAggregate({ projects, applier, optionsOf: () => options, metrics, faults })),
          settings: {
            concurrency: config.CONCURRENCY,
            // What waits here waits for Redis, a flip, or an operator; a flip is over within seconds.
            backoff: { baseMs: 100, capMs: 5_000, jitter: 0.3 },
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
    const tasks = createTasks({
      config,
      redis,
      admin,
      producer: stack.use(await kafka.producer({ compression: 'gzip' })),
      declaration: await loadTopicDeclaration(),
      definitionOf: (_project, metric) => options.metrics.find(({ name }) => name === metric),
      projects,
      consumer,
      applier,
      changed,
      timing: options.timing,
      clock,
      metrics
    })
    runTasks({ projects, tasks, everyMs: taskIntervals(config), clock, signal, log }).catch(failed.reject)
    return {
      ready: consumer.ready,
      live: consumer.live,
      done: Promise.race([consumer.done, failed.promise]),
      checks: {
        kafka: { critical: true, run: () => admin.brokerCount() },
        redis: { critical: true, run: () => redis.ping() }
      }
    }
  }
)
