// realtime: shows metrics, sessions and events over WebSockets as they happen. Wiring only.
import { createWindowReader } from '@millrace/aggregation/window-reader'
import { adminLater, openKafka } from '@millrace/kafka'
import { bindMetrics } from '@millrace/observability'
import { startDefinitionCache } from '@millrace/operations/definition-cache'
import { runService } from '@millrace/service'
import { createKeyStore, endedKeys } from '@millrace/stores/api-keys'
import { openPostgres } from '@millrace/stores/postgres'
import { openPostgresReads } from '@millrace/stores/postgres-reads'
import { openRedis } from '@millrace/stores/redis'
import { createRealtimeApp } from './app.ts'
import { connectionLimits, realtimeRules, realtimeSpec, socketSettings } from './config.ts'
import { createHub } from './hub.ts'
import { realtimeMetrics } from './metrics.ts'
import { toFeedRequest } from './open-feed.ts'
import { openSources } from './open-sources.ts'
import { serveSockets } from './sockets.ts'
import { createTickets } from './tickets.ts'
import { watchKafka } from './watch-kafka.ts'
import { watchKeys } from './watch-keys.ts'
import { createIsKnown, createReadWindows } from './windows.ts'

await runService({ name: 'realtime', spec: realtimeSpec, rules: realtimeRules }, async (context) => {
  const { config, log, registry, clock, stack, signal } = context
  const metrics = bindMetrics(realtimeMetrics, registry)
  const failed = Promise.withResolvers<never>()
  const redisOf = async (role: 'cache' | 'state', url: string) =>
    stack.use(await openRedis({ url, role, log, requirePolicy: 'when-reachable', onPolicyViolation: failed.reject }))

  const { DATABASE_POOL_SIZE: poolSize, API_KEY_PEPPER: pepper, KEY_FRESH_MS: freshMs } = config
  const postgres = stack.use(await openPostgres({ url: config.DATABASE_URL, poolSize, log, name: 'realtime' }))
  const reads = stack.use(await openPostgresReads({ ...context, primary: postgres, name: 'realtime' }))
  const keys = createKeyStore({ postgres, reads, pepper, clock, log, freshMs })
  const cache = await redisOf('cache', config.REDIS_CACHE_URL)
  const state = await redisOf('state', config.REDIS_STATE_URL)
  const kafka = stack.use(await openKafka(config, { log, clientId: 'realtime', clock }))
  const admin = adminLater(kafka)

  const hub = stack.use(createHub({ clock, tickMs: config.TICK_MS, metrics }))
  const definitions = startDefinitionCache({ postgres, clock, log, signal, conversionTypes: [] })
  const readWindows = createReadWindows(createWindowReader(state), definitions)
  const sources = stack.use(
    openSources({ ...context, consumers: kafka.consumers, admin, readWindows, metrics, onFatal: failed.reject })
  )
  const tickets = createTickets(cache, config.TICKET_TTL_MS)
  const app = createRealtimeApp({
    keys,
    tickets,
    ticketTtlMs: config.TICKET_TTL_MS,
    corsOrigins: config.CORS_ORIGINS,
    demoProject: config.DEMO_PROJECT === '-' ? undefined : config.DEMO_PROJECT,
    trustProxy: config.TRUST_PROXY,
    metrics,
    log
  })
  const sockets = serveSockets(app.server, {
    tickets,
    trustProxy: config.TRUST_PROXY,
    connection: {
      hub,
      toFeedRequest: (grant, subscription) => toFeedRequest(grant, subscription, sources),
      isKnown: createIsKnown(definitions),
      limits: connectionLimits(config),
      clock,
      metrics
    },
    settings: socketSettings(config),
    clock,
    metrics,
    log,
    signal,
    random: Math.random
  })
  const onChange = (isAway: boolean): void => {
    log[isAway ? 'warn' : 'info']({ away: isAway }, isAway ? 'kafka does not answer' : 'kafka answers again')
    metrics.stale.set(Number(isAway))
    hub.markAll(isAway)
  }
  void watchKafka({ admin, clock, everyMs: 2_000, onChange, signal })
  const endedOf = (keyIds: readonly string[]) => endedKeys(postgres, keyIds)
  void watchKeys({ sockets, endedOf, clock, everyMs: freshMs / 3, log, signal })

  return {
    ready: () => true,
    done: failed.promise,
    app,
    checks: {
      kafka: { critical: false, run: () => admin.brokerCount() },
      cache: { critical: false, run: () => cache.ping() },
      state: { critical: false, run: () => state.ping() },
      postgres: { critical: false, run: () => postgres.ping() },
      replicas: { critical: false, run: () => reads.check() }
    }
  }
})
