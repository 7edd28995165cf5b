// `millrace epoch`: the builds of the live state, and putting a new one in force.
import { AppError } from '@millrace/kernel'
import { createRedisEpochs } from '@millrace/aggregation/redis-epochs'
import { epochStatus } from '@millrace/operations/epoch-status'
import type { ShownEpoch } from '@millrace/operations/epoch-status'
import { fillAndFlip, fillUntilCaughtUp } from '@millrace/operations/flip-epoch'
import type { BuildProgress, Flipped } from '@millrace/operations/flip-epoch'
import { abortBuild, beginBuild, openBuild, planRebuild, refuse } from '@millrace/operations/rebuild'
import type { RebuildPlan } from '@millrace/operations/rebuild'
import { replaceEpoch } from '@millrace/operations/replace-epoch'
import type { Command } from 'commander'
import { openAdmin, openDatabase, openLiveState } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { openBuildDeps, openEpochAdmin } from '../epoch-deps.ts'
import { formatCount, print, toTable } from '../output.ts'
import type { Terminal } from '../output.ts'
import { timeOf } from '../time-option.ts'
import { addCommand, addGroup } from './command.ts'

type ProjectOption = CommonOptions & { readonly project: string }

interface NewOptions extends ProjectOption {
  readonly from?: string
  readonly acceptLater?: boolean
  readonly flip?: boolean
  readonly dryRun?: boolean
}

const projectOption = ['--project <projectId>', 'the project', 'demo'] as const

/** Adds `epoch new|status|flip|abort`. */
export function addEpochCommands(program: Command, context: CliContext): void {
  const group = addGroup(program, 'epoch', 'builds of the live metrics and sessions from the log')
  addNew(group, context)
  addStatus(group, context)
  addFlip(group, context)
  addAbort(group, context)
}

function addNew(group: Command, context: CliContext): void {
  const { terminal } = context
  addCommand(group, {
    usage: 'new',
    description: 'build the live state of a project anew from the log, beside the one in force',
    examples: [
      'npx millrace epoch new --project shop --dry-run',
      'npx millrace epoch new --project shop --flip',
      'npx millrace epoch new --project shop --from 2026-01-31T00:00:00Z --accept-later'
    ]
  })
    .option(...projectOption)
    .option('--from <time>', 'windows are whole from this full hour on (UTC); default all that is held live')
    .option('--accept-later', 'build also when the log does not reach back that far')
    .option('--flip', 'put it in force as soon as it has caught up')
    .option('--dry-run', 'only say what would be read and what stands against it; exit code 1 when anything does')
    .action(async ({ json, dataDir, project: projectId, from, acceptLater = false, ...options }: NewOptions) => {
      await using stack = new AsyncDisposableStack()
      const admin = await openEpochAdmin(context, dataDir, stack)
      const fromMs = from === undefined ? {} : { fromMs: timeOf('--from', from) }
      const plan = await planRebuild(admin, { projectId, acceptLater, ...fromMs })
      if (options.dryRun === true) {
        print(terminal, json, plan, renderPlan)
        return refuse(plan)
      }
      if (plan.isOtherLog) return print(terminal, json, await replaceEpoch(admin, plan), renderFlipped)
      const deps = await openBuildDeps(context, dataDir, stack, admin)
      const row = await beginBuild(admin, plan)
      const build = { ...deps, onProgress: showBuild(terminal, json) }
      if (options.flip === true) print(terminal, json, await fillAndFlip(build, row), renderFlipped)
      else print(terminal, json, await fillUntilCaughtUp(build, row), (progress) => renderBuilt(progress, projectId))
    })
}

function addFlip(group: Command, context: CliContext): void {
  const { terminal } = context
  addCommand(group, {
    usage: 'flip',
    description: 'go on with the build that is under way and put it in force',
    examples: ['npx millrace epoch flip --project shop']
  })
    .option(...projectOption)
    .action(async ({ json, dataDir, project: projectId }: ProjectOption) => {
      await using stack = new AsyncDisposableStack()
      const admin = await openEpochAdmin(context, dataDir, stack)
      const row = await openBuild(admin, projectId)
      const deps = await openBuildDeps(context, dataDir, stack, admin)
      const build = { ...deps, onProgress: showBuild(terminal, json) }
      print(terminal, json, await fillAndFlip(build, row), renderFlipped)
    })
}

function addAbort(group: Command, context: CliContext): void {
  addCommand(group, {
    usage: 'abort',
    description: 'give up the build that is under way and delete its keys; the epoch in force goes on',
    examples: ['npx millrace epoch abort --project shop']
  })
    .option(...projectOption)
    .action(async ({ json, dataDir, project: projectId }: ProjectOption) => {
      await using stack = new AsyncDisposableStack()
      const row = await abortBuild(await openEpochAdmin(context, dataDir, stack), projectId)
      const given = { projectId, epoch: row.epoch, state: row.state }
      print(context.terminal, json, given, ({ epoch }) => `epoch ${epoch} of ${projectId} is given up`)
    })
}

function addStatus(group: Command, context: CliContext): void {
  const { terminal } = context
  addCommand(group, {
    usage: 'status',
    description: 'the epochs of a project; exit code 1 when none is in force, or the one in force takes nothing',
    examples: ['npx millrace epoch status --project shop', 'npx millrace epoch status --json']
  })
    .option(...projectOption)
    .action(async ({ json, dataDir, project: projectId }: ProjectOption) => {
      await using stack = new AsyncDisposableStack()
      const shown = await statusOf(context, dataDir, projectId, stack)
      print(terminal, json, { projectId, epochs: shown }, () => renderStatus(shown, terminal.colour))
      const live = shown.find(({ inForce }) => inForce)
      if (live === undefined) throw new AppError('PIPE_LIVE_STATE', `${projectId} has no live state`)
      if (live.torn)
        throw new AppError('PIPE_LIVE_STATE', `epoch ${live.epoch} is torn: \`epoch new --flip\` replaces it`)
    })
}

async function statusOf(
  context: CliContext,
  dataDir: string,
  projectId: string,
  stack: AsyncDisposableStack
): Promise<readonly ShownEpoch[]> {
  const postgres = await openDatabase(context, dataDir, stack)
  const epochs = createRedisEpochs(await openLiveState(context, dataDir, stack))
  return await epochStatus({ postgres, epochs, admin: await openAdmin(context, dataDir, stack) }, projectId)
}

/** On a terminal one line that is rewritten; elsewhere nothing but the result. */
export function showBuild(terminal: Terminal, json: boolean | undefined): (progress: BuildProgress) => void {
  if (json === true || !terminal.isTty) return () => undefined
  return ({ epoch, step, records, remaining }) => {
    const read = records > 0n ? Number(((records - remaining) * 100n) / records) : 100
    terminal.write(`\r\u001B[Kepoch ${epoch}: ${step}, ${read} %, ${formatCount(remaining)} records to read`)
    if (step === 'caught-up' || step === 'flipped') terminal.write('\n')
  }
}

function renderPlan({ projectId, liveEpoch, start, isOtherLog, refusals }: RebuildPlan): string {
  return [
    ...(isOtherLog ? ['the log was created anew: the new epoch takes its place at once and is filled after that'] : []),
    `${projectId}: epoch ${liveEpoch} is in force; ${formatCount(start.records)} records would be read`,
    `windows would be whole from ${new Date(start.completeFromMs).toISOString()} on`,
    ...refusals.map((refusal) => `against it: ${refusal}`)
  ].join('\n')
}

function renderBuilt({ epoch, records }: BuildProgress, projectId: string): string {
  return `epoch ${epoch} of ${projectId} has read ${formatCount(records)} records; \`npx millrace epoch flip --project ${projectId}\` puts it in force`
}

function renderFlipped({ projectId, epoch, completeFromMs, sealedMs }: Flipped): string {
  return `epoch ${epoch} of ${projectId} is in force, whole from ${new Date(completeFromMs).toISOString()} on; live events waited ${sealedMs} ms`
}

const beginning = new Date(0).toISOString()

function renderStatus(shown: readonly ShownEpoch[], colour: boolean): string {
  const rows = shown.map(({ epoch, inForce, state, reason, stage, torn, completeFrom, lag, sizes, counts }) => [
    epoch,
    inForce ? 'yes' : 'no',
    state,
    torn ? `${stage ?? ''}, torn` : stage,
    reason,
    completeFrom === beginning ? 'the beginning' : completeFrom,
    lag,
    sizes?.windows,
    sizes?.dirtyWindows,
    counts?.late
  ])
  const head = ['epoch', 'in force', 'row', 'Redis', 'reason', 'whole from', 'lag', 'windows', 'to emit', 'late']
  return toTable(head, rows, colour)
}
