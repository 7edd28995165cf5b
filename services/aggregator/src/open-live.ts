// The projects of this process and how batches are applied to them, put together. Wiring only.
import { randomUUID } from 'node:crypto'
import { createBatchApplier } from '@millrace/aggregation/apply-batch'
import type { BatchApplier } from '@millrace/aggregation/apply-batch'
import { createRedisApply } from '@millrace/aggregation/redis-apply'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import type { Timing } from '@millrace/aggregation/timing'
import type { Admin } from '@millrace/kafka'
import { retry } from '@millrace/kernel'
import type { BackoffPolicy, Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import { createEpochKeeper } from '@millrace/operations/epoch-keeper'
import type { Postgres } from '@millrace/stores/postgres'
import type { Redis } from '@millrace/stores/redis'
import { checkLog } from './check-log.ts'
import { countApplied, showHalted } from './count-applied.ts'
import { createDayQueue } from './day-queue.ts'
import { createLiveProjects } from './live-projects.ts'
import type { LiveProjects } from './live-projects.ts'
import type { aggregatorMetrics } from './metrics.ts'
import { withPlantedApply } from './planted.ts'

export interface OpenLiveDeps {
  readonly redis: Redis
  readonly postgres: Postgres
  readonly admin: Pick<Admin, 'ranges' | 'offsetsAt' | 'groupOffsets'>
  /** The consumer group; its commits tell how far a lost state had come. */
  readonly group: string
  readonly timing: Timing
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: BoundMetrics<typeof aggregatorMetrics>
  readonly planted: ReadonlySet<string>
}

const policy: BackoffPolicy = { baseMs: 50, capMs: 500, jitter: 0.5 }

/** What a batch needs; nothing is read before the first assignment. */
export function openLive(deps: OpenLiveDeps): { readonly projects: LiveProjects; readonly applier: BatchApplier } {
  const { redis, postgres, admin, group, timing, clock, log, metrics, planted } = deps
  const epochs = createRedisEpochs(redis)
  const projects = createLiveProjects({
    inForce: createEpochKeeper({ postgres, epochs, admin, clock, timing, group, actor: 'aggregator', log }),
    // Asked for many topics at once, the client of Kafka may lack one of them in the moment of its answer.
    checkLog: (topic, states) => retry(() => checkLog(admin, topic, states), { policy, clock, attempts: 5 }),
    log,
    onHalted: showHalted(metrics)
  })
  const applier = createBatchApplier({
    apply: withPlantedApply(createRedisApply(redis), redis, planted),
    callId: randomUUID,
    onApplied: countApplied(metrics),
    queueDays: createDayQueue(redis).addRecounts
  })
  return { projects, applier }
}
