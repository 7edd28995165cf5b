// gateway: takes events over HTTP and answers when they are in the log. Wiring only.
import { rawTopic } from '@millrace/contracts'
import { adminLater, createPartitionQueue, openKafka } from '@millrace/kafka'
import { bindMetrics, startCpuCost } from '@millrace/observability'
import { runService } from '@millrace/service'
import { createKeyStore } from '@millrace/stores/api-keys'
import { createDedupLease } from '@millrace/stores/dedup-lease'
import { openPostgres } from '@millrace/stores/postgres'
import { openPostgresReads } from '@millrace/stores/postgres-reads'
import { openRedis } from '@millrace/stores/redis'
import { createAcceptEvents } from './accept.ts'
import { addAdminRoutes } from './admin-routes.ts'
import { createGatewayApp } from './app.ts'
import { createDropGate } from './drop-gate.ts'
import { ackTimeoutMs, dedupSettings, gatewayRules, gatewaySpec, publishLimits } from './config.ts'
import { createDedup } from './dedup.ts'
import { createBoundedChildren, gatewayMetrics } from './metrics.ts'
import { openLimits } from './open-limits.ts'
import { withPlantedBugs, withPlantedLog } from './planted.ts'
import { openSchemaGate } from './schema-gate.ts'
import { keepGauges, verifyLayoutWhenReachable } from './upkeep.ts'

const workers = ({ WORKERS }: { readonly WORKERS: number }): number => WORKERS

await runService({ name: 'gateway', spec: gatewaySpec, rules: gatewayRules, workers }, async (context) => {
  const { config, log, registry, clock, stack, signal, faults, planted } = context
  const metrics = bindMetrics(gatewayMetrics, registry)
  const failed = Promise.withResolvers<never>()

  const postgres = stack.use(
    await openPostgres({ url: config.DATABASE_URL, poolSize: config.DATABASE_POOL_SIZE, log, name: 'gateway' })
  )
  const reads = stack.use(await openPostgresReads({ ...context, primary: postgres, name: 'gateway' }))
  const { API_KEY_PEPPER: pepper, KEY_FRESH_MS: freshMs } = config
  const onBadSetting = (): void => metrics.badSettings.add(1)
  const keys = createKeyStore({ postgres, reads, pepper, clock, log, freshMs, onBadSetting })
  const redisOptions = { url: config.REDIS_DEDUP_URL, role: 'dedup', log, requirePolicy: 'when-reachable' } as const
  const redis = stack.use(await openRedis({ ...redisOptions, onPolicyViolation: failed.reject }))
  const lease = createDedupLease({
    redis,
    shards: config.DEDUP_SHARDS,
    leaseMs: config.DEDUP_LEASE_MS,
    previousShards: config.DEDUP_SHARDS_PREVIOUS || undefined,
    windowMs: config.DEDUP_WINDOW_MS,
    releasesAnyLease: planted.has('gateway-release-without-token')
  })
  const dedup = stack.use(
    createDedup({
      lease,
      clock,
      settings: dedupSettings,
      onFailure: (operation, events) => metrics.dedupFailures.add(events, { operation })
    })
  )
  const kafka = stack.use(await openKafka(config, { log, clientId: config.KAFKA_CLIENT_ID, clock }))
  const producer = await kafka.producer({ ackTimeoutMs: ackTimeoutMs(config.DEDUP_LEASE_MS) })
  const publisher = stack.use(
    createPartitionQueue({
      producer,
      topicOf: rawTopic,
      clock,
      limits: publishLimits(config),
      onFlush: (flush) => {
        metrics.batchSize.observe(flush.events)
        log.debug(flush, 'produce request sent')
      }
    })
  )

  const limits = stack.use(openLimits({ ...context, redis, metrics }))
  const cost = startCpuCost({ stage: 'gateway', registry, clock, signal })
  const countType = createBoundedChildren(100, (type) => metrics.received.child({ type }))
  const accept = createAcceptEvents({
    dedup: withPlantedBugs(dedup, lease, planted),
    log: withPlantedLog(publisher, planted),
    clock,
    faults,
    maxEventBytes: config.EVENT_MAX_BYTES,
    gates: [
      limits.hotKeys.gate,
      createDropGate(() => metrics.dropped.add(1, { reason: 'drop_rule', intentional: 'true' })),
      openSchemaGate({ postgres, clock, log, freshMs, metrics }),
      limits.gate
    ],
    onReceived: (type) => {
      cost.count(1)
      countType(type)
    },
    onUnchecked: () => metrics.unchecked.add(1)
  })
  const app = createGatewayApp({
    accept,
    keys,
    admission: limits.admission,
    limiter: limits.limiter,
    clock,
    metrics,
    log,
    signal,
    random: Math.random,
    collect: { ip: config.COLLECT_IP, userAgent: config.COLLECT_USER_AGENT },
    countryHeader: config.COUNTRY_HEADER.toLowerCase(),
    trustProxy: config.TRUST_PROXY,
    maxEventBytes: config.EVENT_MAX_BYTES,
    corsOrigins: config.CORS_ORIGINS,
    connectionsPerAddress: config.CONNECTIONS_PER_ADDRESS
  })
  addAdminRoutes(app, { adminToken: config.ADMIN_TOKEN, hotWindows: limits.hotWindows })

  const readGauges = (): void => {
    metrics.queuedBytes.set(publisher.queuedBytes())
    metrics.intakeBytes.set(limits.admission.bytesInFlight())
  }
  void keepGauges(readGauges, clock, signal)
  verifyLayoutWhenReachable(lease, clock, signal).catch(failed.reject)

  return {
    ready: () => true,
    done: failed.promise,
    app,
    checks: {
      kafka: { critical: true, run: adminLater(kafka).brokerCount },
      redis: { critical: false, run: () => redis.ping() },
      postgres: { critical: false, run: () => postgres.ping() },
      replicas: { critical: false, run: () => reads.check() }
    }
  }
})
