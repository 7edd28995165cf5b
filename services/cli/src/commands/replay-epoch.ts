// A replay of the live state: a new epoch beside the one in force, which takes its place when it has caught up.
import { AppError } from '@millrace/kernel'
import { fillAndFlip } from '@millrace/operations/flip-epoch'
import type { Flipped } from '@millrace/operations/flip-epoch'
import { beginBuild, planRebuild } from '@millrace/operations/rebuild'
import type { RebuildPlan } from '@millrace/operations/rebuild'
import type { GroupPlan, ReplayEdge } from '@millrace/operations/replay-plan'
import type { CliContext, CommonOptions } from '../context.ts'
import { openBuildDeps, openEpochAdmin } from '../epoch-deps.ts'
import type { OpenedEpochAdmin } from '../epoch-deps.ts'
import { UsageError } from '../output.ts'
import { showBuild } from './epoch.ts'

/** A plan that says what building the epoch would read, and what stands against it. */
export interface EpochPlan extends GroupPlan {
  /** Windows are whole from this full hour on, ms; undefined: from the first that the log still has. */
  readonly wholeFromMs: number | undefined
}

const hourMs = 3_600_000

/** `plan` as that of a new epoch. Throws a UsageError for a beginning that is no time. */
export async function withEpoch(
  context: CliContext,
  { dataDir }: CommonOptions,
  plan: GroupPlan,
  from: ReplayEdge
): Promise<EpochPlan> {
  if (from.kind === 'offset' || from.kind === 'offsets')
    throw new UsageError('a new epoch of the live state begins at a time: --from-time, or --from-offset earliest')
  await using stack = new AsyncDisposableStack()
  const wholeFromMs = from.kind === 'time' ? from.ms - (from.ms % hourMs) : undefined
  const admin = await openEpochAdmin(context, dataDir, stack)
  const { start, refusals } = await planEpoch(admin, plan.projectId, wholeFromMs)
  const parts = plan.parts.map((part) => {
    const first = start.startOffsets[part.partition] ?? 0n
    return { ...part, from: first < part.to ? first : part.to, fromMs: undefined }
  })
  return { ...plan, wholeFromMs, parts, records: start.records, refusals: [...plan.refusals, ...refusals] }
}

/** Builds the epoch of a plan and puts it in force. Throws as `beginBuild` and `fillAndFlip` do. */
export async function buildEpoch(
  context: CliContext,
  { dataDir, json }: CommonOptions,
  plan: GroupPlan & Partial<EpochPlan>
): Promise<Flipped> {
  await using stack = new AsyncDisposableStack()
  const admin = await openEpochAdmin(context, dataDir, stack)
  const made = await planEpoch(admin, plan.projectId, plan.wholeFromMs)
  if (made.isOtherLog)
    throw new AppError('PIPE_CONFLICT', `the log of ${plan.projectId} was created anew: \`millrace epoch new\``)
  const row = await beginBuild(admin, made)
  const deps = await openBuildDeps(context, dataDir, stack, admin)
  return await fillAndFlip({ ...deps, onProgress: showBuild(context.terminal, json) }, row)
}

async function planEpoch(admin: OpenedEpochAdmin, projectId: string, fromMs: number | undefined): Promise<RebuildPlan> {
  const from = fromMs === undefined ? {} : { fromMs }
  return await planRebuild(admin, { projectId, acceptLater: fromMs === undefined, ...from })
}
