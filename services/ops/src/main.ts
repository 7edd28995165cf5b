// ops: the administration of a deployment over HTTP. Wiring only.
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { adminLater, openKafka, samplerLater } from '@millrace/kafka'
import { bindMetrics } from '@millrace/observability'
import { createRedriveLock } from '@millrace/operations/redrive-lock'
import { declarationFor, ensureTopics, loadTopicDeclaration } from '@millrace/operations/topics'
import { runService } from '@millrace/service'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { openEnrich } from '@millrace/stores/country-database'
import { openPostgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import { apiActor, createOpsApp } from './app.ts'
import { openCanary } from './canary/open-canary.ts'
import { opsRules, opsSpec } from './config.ts'
import { openEpochBuilds } from './epochs/open-builds.ts'
import { createLetterDeps } from './letter-deps.ts'
import { opsMetrics } from './metrics.ts'
import { openMonitor, sinksOf } from './monitor/open-monitor.ts'
import { openDoctor } from './open-doctor.ts'
import { openReconcile } from './reconcile/open-reconcile.ts'
import { openOtherRoles, openStoreWatch } from './stores/open-store-watch.ts'

await runService({ name: 'ops', spec: opsSpec, rules: opsRules }, async (context) => {
  const { config, log, registry, clock, stack, faults } = context
  const postgres = stack.use(
    await openPostgres({ url: config.DATABASE_URL, poolSize: config.DATABASE_POOL_SIZE, log, name: 'millrace-ops' })
  )
  const kafka = stack.use(await openKafka(config, { log, clientId: 'ops' }))
  const admin = adminLater(kafka)
  const declaration = declarationFor(await loadTopicDeclaration(), config.KAFKA_BROKERS.length)
  const redis = stack.use(
    await openRedis({ url: config.REDIS_STATE_URL, role: 'state', log, requirePolicy: 'when-reachable' })
  )
  const clickhouse = stack.use(
    await openClickhouse({ url: config.CLICKHOUSE_URL, log, applicationName: 'millrace-ops' })
  )
  const monitor = openMonitor({ ...context, kafka, postgres, redis })
  stack.defer(() => monitor.done)
  const reconciliation = await openReconcile({ ...context, kafka, admin, postgres, clickhouse, redis })
  stack.defer(() => reconciliation.done)
  const roles = [redis, ...(await openOtherRoles(context))]
  const watching = openStoreWatch({ ...context, admin, postgres, clickhouse, redis: roles })
  stack.defer(() => watching)
  const reading = { admin, log: { client: kafka.consumers, clock }, postgres }
  const ensureTopicsOf = (projectId: string) =>
    ensureTopics({ admin, declaration, profile: config.TOPIC_PROFILE, projects: [projectId] })
  const canary = openCanary({
    ...context,
    projects: { postgres, pepper: config.API_KEY_PEPPER, actor: 'ops:canary', ensureTopics: ensureTopicsOf }
  })
  stack.defer(() => canary)
  const enrich = await openEnrich(config)
  const epochBuilds = await openEpochBuilds({ ...context, kafka, admin, postgres, enrich, actor: apiActor })
  const app = createOpsApp({
    monitor,
    trail: {
      ...reading,
      clickhouse,
      sinks: sinksOf({ config, sampler: samplerLater(kafka), postgres, redis }),
      loadGroup: config.LOADER_GROUP
    },
    replays: {
      ...reading,
      manifest: createArchiveManifest(postgres),
      clock,
      actor: apiActor,
      holder: `ops:${hostname()}:${randomUUID().slice(0, 8)}`,
      faults
    },
    epochBuilds,
    clock,
    adminToken: config.ADMIN_TOKEN,
    metrics: bindMetrics(opsMetrics, registry),
    log,
    postgres,
    pepper: config.API_KEY_PEPPER,
    actor: apiActor,
    letters: createLetterDeps({
      kafka,
      admin,
      postgres,
      lock: createRedriveLock(config.DATABASE_DIRECT_URL || config.DATABASE_URL),
      enrich,
      clock,
      actor: apiActor,
      countingGroups: config.COUNTING_GROUPS,
      loadingGroups: [config.LOADER_GROUP],
      recordingGroups: [config.RECORDER_GROUP]
    }),
    doctor: openDoctor({ ...context, admin, declaration, postgres, clickhouse, redis: roles, monitor }),
    ensureTopics: ensureTopicsOf
  })
  return {
    ready: () => true,
    done: monitor.done,
    app,
    checks: {
      kafka: { critical: false, run: () => admin.brokerCount() },
      postgres: { critical: true, run: () => postgres.ping() }
    }
  }
})
