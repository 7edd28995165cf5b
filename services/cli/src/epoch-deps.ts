// What the procedures of epochs need, under the same settings as the aggregator's.
import { randomUUID } from 'node:crypto'
import { liveTiming } from '@millrace/aggregation/timing'
import { createRedisApply } from '@millrace/aggregation/redis-apply'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { consumerFields, enrichFields, kafkaFields, liveStateFields } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { startDefinitionCache } from '@millrace/operations/definition-cache'
import type { BuildDeps } from '@millrace/operations/flip-epoch'
import type { EpochAdmin } from '@millrace/operations/rebuild'
import { createFaults } from '@millrace/service'
import { openEnrich } from '@millrace/stores/country-database'
import type { Redis } from '@millrace/stores/redis'
import { openAdmin, openDatabase, openLiveState } from './connections.ts'
import { settings } from './context.ts'
import type { CliContext } from './context.ts'
import { actorOf } from './identity.ts'

/** What planning, beginning and giving up need. */
export interface OpenedEpochAdmin extends EpochAdmin {
  readonly redis: Redis
  readonly admin: BuildDeps['admin']
}

/** Opens the stores of the epochs; they live as long as `stack`. */
export async function openEpochAdmin(
  context: CliContext,
  dataDir: string,
  stack: AsyncDisposableStack
): Promise<OpenedEpochAdmin> {
  const { LATENESS_MS: latenessMs, SESSION_IDLE_MS: sessionIdleMs } = settings(context, dataDir, liveStateFields)
  const redis = await openLiveState(context, dataDir, stack)
  return {
    redis,
    postgres: await openDatabase(context, dataDir, stack),
    epochs: createRedisEpochs(redis),
    admin: await openAdmin(context, dataDir, stack),
    clock: context.clock,
    timing: { ...liveTiming, latenessMs, sessionIdleMs },
    actor: actorOf(),
    faults: createFaults(context.env['MILLRACE_FAULTS'], context.env['MILLRACE_TEST'] === '1')
  }
}

/** Opens what filling an epoch needs besides; it lives as long as `stack`. */
export async function openBuildDeps(
  context: CliContext,
  dataDir: string,
  stack: AsyncDisposableStack,
  opened: OpenedEpochAdmin
): Promise<BuildDeps> {
  const log = createSilentLogger()
  const { CONVERSION_TYPES: conversionTypes } = settings(context, dataDir, liveStateFields)
  const kafka = stack.use(await openKafka(settings(context, dataDir, kafkaFields), { log, clientId: 'rebuild' }))
  const stop = new AbortController()
  stack.defer(() => stop.abort())
  const { postgres, clock, timing, redis } = opened
  // A build can wait, unlike live events: it counts by what is known for certain.
  const definitions = startDefinitionCache({
    postgres,
    clock,
    log,
    signal: stop.signal,
    conversionTypes,
    waitAfterMs: 120_000
  })
  const conversions = new Set(conversionTypes)
  const { SESSION_TIMEOUT_MS, HEARTBEAT_INTERVAL_MS } = settings(context, dataDir, consumerFields)
  return {
    ...opened,
    settings: { sessionTimeoutMs: SESSION_TIMEOUT_MS, heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS },
    client: kafka.consumers,
    producer: stack.use(await kafka.producer()),
    apply: createRedisApply(redis),
    callId: randomUUID,
    enrich: await openEnrich(settings(context, dataDir, enrichFields)),
    optionsOf: (project) => ({ timing, metrics: definitions.of(project), conversionTypes: conversions }),
    log
  }
}
