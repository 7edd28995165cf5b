// A replay of the live state by the command line tool: planned, built and put in force while the command runs.
import { fillAndFlip } from '@millrace/operations/flip-epoch'
import type { Flipped } from '@millrace/operations/flip-epoch'
import { beginEpochReplay, planEpochReplay } from '@millrace/operations/replay-epoch'
import type { EpochPlan } from '@millrace/operations/replay-epoch'
import type { GroupPlan, ReplayRequest } from '@millrace/operations/replay-plan'
import type { CliContext, CommonOptions } from '../context.ts'
import { openBuildDeps, openEpochAdmin } from '../epoch-deps.ts'
import { showBuild } from './epoch.ts'

/** `plan` as that of a new epoch. Throws as `planEpochReplay`. */
export async function withEpoch(
  context: CliContext,
  { dataDir }: CommonOptions,
  plan: GroupPlan,
  request: ReplayRequest
): Promise<EpochPlan> {
  await using stack = new AsyncDisposableStack()
  return await planEpochReplay(await openEpochAdmin(context, dataDir, stack), plan, request)
}

/** Builds the epoch of a plan and puts it in force. Throws as `beginEpochReplay` and `fillAndFlip` do. */
export async function buildEpoch(
  context: CliContext,
  { dataDir, json }: CommonOptions,
  plan: GroupPlan & Partial<EpochPlan>,
  reason: string
): Promise<Flipped> {
  await using stack = new AsyncDisposableStack()
  const admin = await openEpochAdmin(context, dataDir, stack)
  const row = await beginEpochReplay(admin, { ...plan, wholeFromMs: plan.wholeFromMs }, reason)
  const deps = await openBuildDeps(context, dataDir, stack, admin)
  return await fillAndFlip({ ...deps, onProgress: showBuild(context.terminal, json) }, row)
}
