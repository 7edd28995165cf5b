// aggregator: folds every event of the raw log into live windows and sessions in Redis. Wiring only.
import { randomUUID } from 'node:crypto'
import { createBatchApplier } from '@millrace/aggregation/apply-batch'
import type { FoldOptions } from '@millrace/aggregation/fold'
import { createRedisApply } from '@millrace/aggregation/redis-apply'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { startConsumer, topicFamily } from '@millrace/consumer'
import { createEnrich, letterTopic, rawTopicsOf } from '@millrace/contracts'
import { adminLater, openKafka } from '@millrace/kafka'
import { bindMetrics, startCpuCost } from '@millrace/observability'
import { createEpochKeeper } from '@millrace/operations/epoch-keeper'
import { loadTopicDeclaration } from '@millrace/operations/topics'
import { runService } from '@millrace/service'
import { openPostgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import { createAggregate } from './aggregate.ts'
import { createChangedValues } from './changed-values.ts'
import { checkLog } from './check-log.ts'
import { aggregatorRules, aggregatorSpec } from './config.ts'
import { consumerSettingsOf, flushPolicyOf, foldOptionsOf } from './settings.ts'
import { createDayQueue } from './day-queue.ts'
import { createLiveProjects } from './live-projects.ts'
import { aggregatorMetrics } from './metrics.ts'
import { countApplied, showHalted } from './count-applied.ts'
import { withPlantedApply } from './planted.ts'
import { runTasks } from './run-tasks.ts'
import { createTasks, taskIntervals } from './tasks.ts'
import { createToEntry } from './to-entry.ts'

await runService(
  { name: 'aggregator', spec: aggregatorSpec, rules: aggregatorRules },
  async ({ config, log, registry, clock, stack, signal, faults, planted, version }) => {
    const metrics = bindMetrics(aggregatorMetrics, registry)
    const failed = failure()
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
    const postgres = stack.use(
      await openPostgres({ url: config.DATABASE_URL, poolSize: config.DATABASE_POOL_SIZE, log, name: 'aggregator' })
    )
    const kafka = stack.use(await openKafka(config, { log, clientId: 'aggregator' }))
    const admin = adminLater(kafka)
    const options = foldOptionsOf(config)
    const optionsOf = (): FoldOptions => options
    const projects = createLiveProjects({
      inForce: createEpochKeeper({
        postgres,
        epochs: createRedisEpochs(redis),
        admin,
        clock,
        timing: options.timing,
        group: config.CONSUMER_GROUP,
        actor: 'aggregator',
        log
      }),
      checkLog: (topic, states) => checkLog(admin, topic, states),
      log,
      onHalted: showHalted(metrics)
    })
    const applier = createBatchApplier({
      apply: withPlantedApply(createRedisApply(redis), redis, planted),
      callId: randomUUID,
      onApplied: countApplied(metrics),
      queueDays: createDayQueue(redis).addRecounts
    })
    const changed = createChangedValues()
    const consumer = stack.use(
      await startConsumer(
        {
          name: 'aggregator',
          group: config.CONSUMER_GROUP,
          topics: topicFamily({ admin, belongs: rawTopicsOf(config.PROJECTS) }),
          policy: flushPolicyOf(config),
          startAt: (assigned) => {
            applier.forget()
            changed.clear()
            return projects.startAt(assigned)
          },
          decode: createToEntry(createEnrich()),
          handle: startCpuCost({ stage: 'aggregate', registry, clock, signal }).counting(
            createAggregate({ projects, applier, optionsOf, metrics, faults })
          ),
          settings: consumerSettingsOf(config)
        },
        {
          client: kafka.consumers,
          letters: { producer: stack.use(await kafka.producer()), topicFor: letterTopic, appVersion: version },
          log,
          registry,
          clock,
          signal,
          faults
        }
      )
    )
    const tasks = createTasks({
      planted,
      faults,
      config,
      redis,
      postgres,
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
        redis: { critical: true, run: () => redis.ping() },
        postgres: { critical: false, run: () => postgres.ping() }
      }
    }
  }
)

/** Rejects for what no part of the service waits for. */
function failure(): PromiseWithResolvers<never> {
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => undefined)
  return failed
}
