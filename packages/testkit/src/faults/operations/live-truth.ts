// The live state of the project of a rig, judged as the cases of the stream judge it: recounted from the log, window by
// window and session by session.
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'
import { eventually } from '../../eventually.ts'
import type { StreamEvidence } from '../stream/compare.ts'
import { gatherStream } from '../stream/gather.ts'
import type { StreamTiming } from '../stream/gather.ts'
import type { OperationsRig } from './rig.ts'

export interface LiveTruth extends AsyncDisposable {
  /** Resolves when everything in the log is applied, and what was due at `clockMs` is closed and told. */
  settled(clockMs: number): Promise<void>
  /** Everything that is known of the project, read anew. */
  gather(): Promise<StreamEvidence>
}

/** The settings of the aggregator for `timing`. */
export function timingEnv({ latenessMs, marginMs, sessionIdleMs }: StreamTiming): Readonly<Record<string, string>> {
  return {
    LATENESS_MS: String(latenessMs),
    CLOCK_MARGIN_MS: String(marginMs),
    SESSION_IDLE_MS: String(sessionIdleMs)
  }
}

/** Opens the judgement; the aggregator of the rig must run with the settings of `timing`. */
export async function openLiveTruth(rig: OperationsRig, timing: StreamTiming): Promise<LiveTruth> {
  const { pipeline, topic } = rig
  const { projectId } = rig.project
  const redis = await openRedis({
    url: pipeline.endpoints.REDIS_STATE_URL,
    role: 'state',
    log: createSilentLogger(),
    requirePolicy: 'when-reachable',
    commandTimeoutMs: 5_000
  })
  const epochs = createRedisEpochs(redis)
  const { admin } = pipeline
  return {
    async settled(clockMs) {
      const isSettled = async (): Promise<boolean> => {
        const [ranges, { pointer, epochs: held }] = await Promise.all([admin.ranges(topic), epochs.inspect(projectId)])
        const state = held.get(pointer)
        const behind = ranges.filter(({ partition, end }) => state?.partitions[partition]?.position !== end)
        const clock = Math.min(...(state?.partitions.map((each) => each.clockMs) ?? [-1]))
        const { dirtyWindows = -1, dirtySessions = -1 } = state?.sizes ?? {}
        if (behind.length === 0 && clock >= clockMs && dirtyWindows === 0 && dirtySessions === 0) return true
        throw new Error(`${behind.length} partitions behind, clock ${clock}, ${JSON.stringify(state?.sizes)}`)
      }
      await eventually('the live state is closed and told', isSettled, { timeoutMs: 180_000, intervalMs: 500 })
    },
    async gather() {
      const deps = { admin, client: pipeline.kafka.consumers, redis, timing }
      const [evidence] = await gatherStream(deps, [{ projectId, topic, write: async () => {} }])
      if (evidence === undefined) throw new Error(`nothing is known of ${projectId}`)
      return evidence
    },
    [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose]()
  }
}
