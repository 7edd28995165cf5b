// A replay of the live state: a new epoch beside the one in force, which takes its place when it has caught up.
import { AppError } from '@millrace/kernel'
import { beginBuild, planRebuild } from './rebuild.ts'
import type { EpochAdmin, RebuildPlan } from './rebuild.ts'
import { againstLimit } from './replay-plan.ts'
import type { GroupPlan, ReplayRequest } from './replay-plan.ts'
import type { StateEpoch } from './state-epochs.ts'

/** A plan that says what building the epoch would read, and what stands against it. */
export interface EpochPlan extends GroupPlan {
  /** Windows are whole from this full hour on, ms; undefined: from the first that the log still has. */
  readonly wholeFromMs: number | undefined
}

const hourMs = 3_600_000

/** `plan` as that of a new epoch, with the beginning `from`; `limit` bounds what building reads. Throws as `planRebuild`. */
export async function planEpochReplay(
  admin: EpochAdmin,
  plan: GroupPlan,
  { from, limit }: Pick<ReplayRequest, 'from' | 'limit'>
): Promise<EpochPlan> {
  const wholeFromMs = from.kind === 'time' ? from.ms - (from.ms % hourMs) : undefined
  // By offsets it has no beginning, which is among its refusals already.
  if (from.kind === 'offset' || from.kind === 'offsets') return { ...plan, wholeFromMs }
  const { start, refusals } = await planEpoch(admin, plan.projectId, wholeFromMs)
  const parts = plan.parts.map((part) => {
    const first = start.startOffsets[part.partition] ?? 0n
    return { ...part, from: first < part.to ? first : part.to, fromMs: undefined }
  })
  const { records } = start
  const against = [...plan.refusals, ...refusals, ...againstLimit(records, limit)]
  return { ...plan, wholeFromMs, parts, records, refusals: against }
}

/**
 * Begins the build of a plan; `reason` is for the audit log. Throws as `beginBuild`, and PIPE_CONFLICT when the plan is
 * refused or is of another log.
 */
export async function beginEpochReplay(admin: EpochAdmin, plan: EpochPlan, reason: string): Promise<StateEpoch> {
  const { projectId, wholeFromMs, refusals } = plan
  if (refusals.length > 0) throw new AppError('PIPE_CONFLICT', `${projectId}: ${refusals.join('; ')}`)
  const made = await planEpoch(admin, projectId, wholeFromMs)
  if (made.isOtherLog)
    throw new AppError('PIPE_CONFLICT', `the log of ${projectId} was created anew: \`millrace epoch new\``)
  return await beginBuild(admin, made, reason)
}

async function planEpoch(admin: EpochAdmin, projectId: string, fromMs: number | undefined): Promise<RebuildPlan> {
  const from = fromMs === undefined ? {} : { fromMs }
  return await planRebuild(admin, { projectId, acceptLater: fromMs === undefined, ...from })
}
