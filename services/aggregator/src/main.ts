// aggregator: folds every event of the raw log into live windows and sessions in Redis. Wiring only.
import { createToEntry } from '@millrace/aggregation/entry'
import { keepResuming, startConsumer, topicFamily } from '@millrace/consumer'
import { letterTopic, rawTopicsOf } from '@millrace/contracts'
import { adminLater, openKafka } from '@millrace/kafka'
import { bindMetrics, startCpuCost } from '@millrace/observability'
import { startDefinitionCache } from '@millrace/operations/definition-cache'
import { createDefinitionCopy } from '@millrace/operations/definition-copy'
import { resumesOf } from '@millrace/operations/group-resumes'
import { loadTopicDeclaration } from '@millrace/operations/topics'
import { runService } from '@millrace/service'
import { openEnrich } from '@millrace/stores/country-database'
import { openPostgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import { createAggregate } from './aggregate.ts'
import { createChangedValues } from './changed-values.ts'
import { aggregatorRules, aggregatorSpec } from './config.ts'
import { createDayQueue } from './day-queue.ts'
import { consumerSettingsOf, flushPolicyOf, foldOptions, timingOf } from './settings.ts'
import { aggregatorMetrics } from './metrics.ts'
import { tellMissed } from './missed-definitions.ts'
import { openLive } from './open-live.ts'
import { runTasks } from './run-tasks.ts'
import { withPlantedEnrich } from './planted.ts'
import { createTasks, taskIntervals } from './tasks.ts'

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
    const { CONSUMER_GROUP: group, CONVERSION_TYPES: conversionTypes } = config
    const timing = timingOf(config)
    const { projects, applier } = openLive({ redis, postgres, admin, group, timing, clock, log, metrics, planted })
    const definitions = startDefinitionCache({
      postgres,
      clock,
      log,
      signal,
      conversionTypes,
      copy: createDefinitionCopy(redis),
      onMissed: tellMissed({ queueDays: createDayQueue(redis).addRecounts, clock, log, metrics })
    })
    const changed = createChangedValues()
    const consumer = stack.use(
      await startConsumer(
        {
          name: 'aggregator',
          group,
          topics: topicFamily({ admin, belongs: rawTopicsOf(config.PROJECTS) }),
          policy: flushPolicyOf(config),
          startAt: (assigned) => {
            applier.forget()
            changed.clear()
            return projects.startAt(assigned)
          },
          decode: createToEntry(withPlantedEnrich(await openEnrich(config), clock, planted)),
          handle: startCpuCost({ stage: 'aggregate', registry, clock, signal }).counting(
            createAggregate({
              projects,
              applier,
              optionsOf: foldOptions(timing, conversionTypes, definitions),
              metrics,
              faults
            })
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
    const resumes = { group, resumedAgoMs: resumesOf({ postgres, group }), askEveryMs: config.CHECK_EVERY_MS }
    keepResuming(consumer, resumes, { clock, log, signal }).catch(failed.reject)
    const tasks = createTasks({
      planted,
      faults,
      config,
      redis,
      postgres,
      admin,
      producer: stack.use(await kafka.producer({ compression: 'gzip' })),
      declaration: await loadTopicDeclaration(),
      definitionOf: definitions.at,
      projects,
      consumer,
      applier,
      changed,
      timing,
      clock,
      metrics
    })
    runTasks({ projects, tasks, everyMs: taskIntervals(config), clock, signal, log }).catch(failed.reject)
    return {
      ready: consumer.ready,
      live: consumer.live,
      done: Promise.race([consumer.done, failed.promise]),
      checks: {
        ...consumer.checks,
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
