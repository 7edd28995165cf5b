// An epoch for a log that was deleted and created again. Positions of the two logs do not compare, so nothing is caught
// up with: the old state is sealed, and an epoch that begins at the new log takes its place at once.
import { AppError } from '@millrace/kernel'
import { writeAudit } from './audit.ts'
import { queueLiveDays } from './daily-metrics.ts'
import type { Flipped } from './flip-epoch.ts'
import { refuse, sweepAll } from './rebuild.ts'
import type { EpochAdmin, RebuildPlan } from './rebuild.ts'
import { insertEpoch } from './state-epochs.ts'

/**
 * Puts an empty epoch in force that begins where the plan says; the aggregator fills it. Throws PIPE_CONFLICT when the plan
 * is refused, PIPE_LIVE_STATE when the state is another one by now: plan again.
 */
export async function replaceEpoch(deps: EpochAdmin, plan: RebuildPlan): Promise<Flipped> {
  const { postgres, epochs, actor, clock } = deps
  const { projectId, start } = plan
  refuse(plan)
  const sealedAtMs = clock.monotonic()
  await epochs.seal(projectId)
  const { startOffsets, completeFromMs } = start
  const { epoch } = await postgres.transaction(async (tx) => {
    const made = { projectId, startOffsets, completeFromMs, reason: 'recreated', state: 'live', actor } as const
    const row = await insertEpoch(tx, made)
    await queueLiveDays(tx, projectId, completeFromMs)
    const details = { reason: 'recreated', completeFromMs, startOffsets: startOffsets.map(String) }
    await writeAudit(tx, { actor, action: 'epoch.new', projectId, subject: String(row.epoch), details })
    return row
  })
  const reply = await epochs.replace(projectId, epoch, start)
  // An owner that found the row above the pointer, without keys, makes them itself.
  if (reply.kind !== 'ok' && (await epochs.look(projectId)).pointer < epoch)
    throw new AppError('PIPE_LIVE_STATE', `${projectId} was not replaced by epoch ${epoch}: ${reply.kind}`)
  const sealedMs = Math.round(clock.monotonic() - sealedAtMs)
  return { projectId, epoch, completeFromMs, sealedMs, deletedKeys: await sweepAll(epochs, projectId) }
}
