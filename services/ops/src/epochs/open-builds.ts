// The builder of epochs over the stores of a deployment. Wiring only.
import { randomUUID } from 'node:crypto'
import { createRedisApply } from '@millrace/aggregation/redis-apply'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { liveTiming } from '@millrace/aggregation/timing'
import type { ConfigOf, redisStateFields } from '@millrace/config'
import type { Enrich } from '@millrace/contracts'
import type { Admin, Kafka } from '@millrace/kafka'
import { later } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import { startDefinitionCache } from '@millrace/operations/definition-cache'
import type { DefinitionCache } from '@millrace/operations/definition-cache'
import type { Faults } from '@millrace/service'
import type { Postgres } from '@millrace/stores/postgres'
import { openRedis } from '@millrace/stores/redis'
import { createEpochBuilds } from './builds.ts'
import type { EpochBuilds } from './builds.ts'
import type { epochFields } from './fields.ts'

export interface OpenBuildsDeps {
  readonly config: ConfigOf<typeof epochFields & typeof redisStateFields>
  readonly kafka: Pick<Kafka, 'consumers' | 'producer'>
  readonly admin: Omit<Admin, typeof Symbol.asyncDispose>
  readonly postgres: Postgres
  readonly enrich: Enrich
  readonly actor: string
  readonly clock: Clock
  readonly log: Logger
  readonly signal: AbortSignal
  readonly faults: Faults
  readonly stack: AsyncDisposableStack
}

/** Opens the builder; it lives as long as `stack`. What filling needs beyond Redis is opened by the first build. */
export async function openEpochBuilds(deps: OpenBuildsDeps): Promise<EpochBuilds> {
  const { config, kafka, postgres, enrich, actor, clock, log, signal, faults, stack } = deps
  const { CONVERSION_TYPES: conversionTypes, LATENESS_MS: latenessMs, SESSION_IDLE_MS: sessionIdleMs } = config
  // A connection of its own: applying a batch may take longer than anything else that is asked of this Redis.
  const redis = stack.use(
    await openRedis({
      url: config.REDIS_STATE_URL,
      role: 'state',
      log,
      requirePolicy: 'when-reachable',
      commandTimeoutMs: 5_000
    })
  )
  const timing = { ...liveTiming, latenessMs, sessionIdleMs }
  const admin = { postgres, epochs: createRedisEpochs(redis), admin: deps.admin, clock, timing, actor, faults }
  const conversions = new Set(conversionTypes)
  const openProducer = later(() => kafka.producer())
  let definitions: DefinitionCache | undefined
  return stack.use(
    createEpochBuilds({
      admin,
      log,
      signal,
      async open() {
        // A build can wait, unlike live events: it counts by what is known for certain.
        const known = (definitions ??= startDefinitionCache({
          postgres,
          clock,
          log,
          signal,
          conversionTypes,
          waitAfterMs: 120_000
        }))
        return {
          ...admin,
          client: kafka.consumers,
          producer: await openProducer(),
          apply: createRedisApply(redis),
          callId: randomUUID,
          enrich,
          optionsOf: (project) => ({ timing, metrics: known.of(project), conversionTypes: conversions }),
          log,
          settings: {
            sessionTimeoutMs: config.SESSION_TIMEOUT_MS,
            heartbeatIntervalMs: config.HEARTBEAT_INTERVAL_MS
          }
        }
      }
    })
  )
}
