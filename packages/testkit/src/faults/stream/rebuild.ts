// Builds a new epoch of a project and puts it in force, as an operator does.
import { randomUUID } from 'node:crypto'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import { createRedisApply } from '@millrace/aggregation/redis-apply'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { liveTiming } from '@millrace/aggregation/timing'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { fillAndFlip } from '@millrace/operations/flip-epoch'
import type { Flipped } from '@millrace/operations/flip-epoch'
import { beginBuild, planRebuild } from '@millrace/operations/rebuild'
import type { StreamRig } from './rig.ts'
import type { StreamProject } from './stream-project.ts'

/** Rebuilds all that is held live; resolves when the new epoch is in force. */
export async function rebuildEpoch(rig: StreamRig, { projectId }: StreamProject): Promise<Flipped> {
  const { admin, producer, redis, postgres, pipeline } = rig
  const timing = { ...liveTiming, ...rig.timing }
  const conversions = ['purchase']
  const options = { timing, metrics: builtInMetrics(conversions), conversionTypes: new Set(conversions) }
  const epochs = createRedisEpochs(redis)
  const deps = { postgres, epochs, admin, clock: systemClock, timing, actor: 'faults' }
  const row = await beginBuild(deps, await planRebuild(deps, { projectId }))
  return await fillAndFlip(
    {
      ...deps,
      client: pipeline.kafka.consumers,
      producer,
      apply: createRedisApply(redis),
      callId: randomUUID,
      optionsOf: () => options,
      log: createSilentLogger(),
      pollMs: 100
    },
    row
  )
}
