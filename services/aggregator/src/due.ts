// Whether something of a project waits for its clock. Asking Redis costs a fraction of asking the brokers for offsets,
// and of most projects nothing is due most of the time.
import { stateKeys } from '@millrace/aggregation/keys'
import { settleMs } from '@millrace/aggregation/close'
import type { Timing } from '@millrace/aggregation/timing'
import type { Redis } from '@millrace/stores/redis'

/** Whether a window or session could be closed or deleted if the project's clock were `nowMs`. */
export type IsDue = (project: string, epoch: number, nowMs: number) => Promise<boolean>

/** Looks at the first entry of each index. Throws PIPE_REDIS_UNAVAILABLE and PIPE_REDIS_REFUSED. */
export function createIsDue(redis: Pick<Redis, 'pipeline'>, timing: Timing): IsDue {
  return async (project, epoch, nowMs) => {
    const { open, held, due, kept } = stateKeys(project, epoch)
    const indexes = [
      { key: open, afterMs: 0 },
      { key: held, afterMs: 0 },
      { key: due, afterMs: timing.sessionIdleMs + settleMs(timing) },
      { key: kept, afterMs: timing.sessionKeepMs }
    ]
    const replies = await redis.pipeline(indexes.map(({ key }) => ['ZRANGE', key, 0, 0, 'WITHSCORES'] as const))
    return replies.some((reply, index) => {
      if (!reply.ok) throw reply.error
      // Member and score, in one list or as pairs, by the version of the protocol.
      const [, score] = (reply.value as readonly unknown[]).flat()
      return score !== undefined && Number(score) + (indexes[index]?.afterMs ?? 0) <= nowMs
    })
  }
}
