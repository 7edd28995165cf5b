// The epoch in force of a project, and epoch 1 for a project that has none.
import type { RedisEpochs } from '@millrace/aggregation/redis-epochs'
import { rawTopic } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'
import { AppError } from '@millrace/kernel'
import type { InForce } from './live-projects.ts'

/** Reads the live epoch; a project without one begins with epoch 1 at offset 0. Throws PIPE_REDIS_UNAVAILABLE. */
export function createFirstEpochs({
  epochs,
  admin
}: {
  readonly epochs: Pick<RedisEpochs, 'look' | 'init'>
  readonly admin: Pick<Admin, 'ranges'>
}): (project: string) => Promise<InForce> {
  return async function inForce(project) {
    const seen = await epochs.look(project)
    if (seen.pointer === 0) {
      const partitions = await admin.ranges(rawTopic(project))
      await epochs.init(project, 1, { startOffsets: partitions.map(() => 0n), completeFromMs: 0 })
    }
    const { pointer, epochs: held } = seen.pointer === 0 ? await epochs.look(project) : seen
    const live = held.get(pointer)
    if (live === undefined) throw new AppError('PIPE_LIVE_STATE', `${project} has no live state yet`)
    return { epoch: pointer, completeFromMs: live.completeFromMs, partitions: live.partitions, torn: live.torn }
  }
}
