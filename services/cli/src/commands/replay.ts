// `millrace replay`: reading parts of the log again.
import { randomUUID } from 'node:crypto'
import { AppError } from '@millrace/kernel'
import type { Flipped } from '@millrace/operations/flip-epoch'
import { abortReplay, resumeReplay, startReplay } from '@millrace/operations/replay'
import type { ReplayDeps } from '@millrace/operations/replay'
import { replayStatus } from '@millrace/operations/replay-orders'
import type { ReplayStatus } from '@millrace/operations/replay-orders'
import { planReplay } from '@millrace/operations/replay-plan'
import type { GroupPlan } from '@millrace/operations/replay-plan'
import { findReplay, isOver, listReplays } from '@millrace/operations/replay-rows'
import type { Replay } from '@millrace/operations/replay-rows'
import { createFaults } from '@millrace/service'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import type { Postgres } from '@millrace/stores/postgres'
import type { Command } from 'commander'
import { openDatabase, openLog } from '../connections.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { actorOf } from '../identity.ts'
import { print, UsageError } from '../output.ts'
import { addCommand, addGroup } from './command.ts'
import { fromArchive } from './replay-archive.ts'
import { buildEpoch, withEpoch } from './replay-epoch.ts'
import { rateOf, toRequests } from './replay-options.ts'
import type { RangeOptions } from './replay-options.ts'
import { renderPlans, renderReplays, showReplay } from './replay-text.ts'

/** Adds `replay plan|start|status|abort`. */
export function addReplayCommands(program: Command, context: CliContext): void {
  const group = addGroup(program, 'replay', 'reading parts of the log again, into the stores that bear it')
  addPlan(group, context)
  addStart(group, context)
  addStatus(group, context)
  addAbort(group, context)
}

function addRange(command: Command): Command {
  return command
    .option('--project <projectId>', 'whose events', 'demo')
    .option('--group <groups>', 'process, load, record, aggregate; several with commas', 'load')
    .option('--from-time <time>', 'from what the broker stored at or after this time: 2026-01-31T10:00:00Z, or 2h')
    .option('--from-offset <offsets>', 'from this offset of every partition, of some (0:100,1:250), or `earliest`')
    .option('--to-time <time>', 'up to this time; default: where the group is')
    .option('--to-offset <offsets>', 'up to this offset, which is not read')
    .option(
      '--from-archive',
      'load the warehouse from this range of the archive; without one from all of it, then the log'
    )
    .option('--accept-gone', 'load a range of the archive although offsets of it are gone for good')
    .option('--in-place', 'move the group itself back; live events wait until it has come forward again')
    .option('--limit <records>', 'refuse more than that', '10000000')
}

function addPlan(group: Command, context: CliContext): void {
  const command = addCommand(group, {
    usage: 'plan',
    description: 'say what would be read and what follows; exit code 1 when anything stands against it',
    examples: [
      'npx millrace replay plan --project shop --group load,record --from-time 2h',
      'npx millrace replay plan --project shop --group load --from-offset 0:1000,1:950 --to-time 2026-01-31T10:00:00Z'
    ]
  })
  addRange(command).action(async (options: RangeOptions) => {
    if (await fromArchive(context, { ...options, dryRun: true })) return
    await using stack = new AsyncDisposableStack()
    const opened = await open(context, options.dataDir, stack)
    const plans = await plansOf(context, opened, options)
    print(context.terminal, options.json, plans, () => renderPlans(plans, context.terminal.colour))
    refuse(plans)
  })
}

interface StartOptions extends RangeOptions {
  readonly rate?: string
  readonly reason: string
  readonly wait?: boolean
  readonly resume?: string
  readonly dryRun?: boolean
}

function addStart(group: Command, context: CliContext): void {
  const command = addCommand(group, {
    usage: 'start',
    description: 'read a part of the log again; live events go on meanwhile',
    examples: [
      'npx millrace replay start --project shop --group load --from-time 2h --reason "parser fixed" --wait',
      'npx millrace replay start --project shop --group process,record --from-offset earliest --rate 5000',
      'npx millrace replay start --project shop --group load --from-archive --rate 20000',
      'npx millrace replay start --project shop --from-archive --from-time 2026-01-30T00:00:00Z --to-time 2026-01-31T00:00:00Z',
      'npx millrace replay start --project shop --from-archive --from-offset 0:1000,1:950 --to-offset 0:2000,1:1900',
      'npx millrace replay start --resume 12'
    ]
  })
  addRange(command)
    .option('--rate <records>', 'records a second at most, over all workers of the group')
    .option('--reason <text>', 'why, for the audit log', '')
    .option('--wait', 'wait for the end; exit code 1 when it does not come to it')
    .option('--resume <id>', 'go on with one whose beginning ended in between')
    .option('--dry-run', 'as `replay plan`')
    .action((options: StartOptions) => start(context, options))
}

async function start(context: CliContext, options: StartOptions): Promise<void> {
  const { terminal } = context
  const { json } = options
  if (await fromArchive(context, options)) return
  await using stack = new AsyncDisposableStack()
  const opened = await open(context, options.dataDir, stack)
  const begun: Replay[] = []
  const flipped: Flipped[] = []
  if (options.resume !== undefined) begun.push(await resumeReplay(opened, options.resume))
  else {
    const perSecond = rateOf(options.rate)
    const plans = await plansOf(context, opened, options)
    if (perSecond !== undefined && plans.some(({ effect }) => effect === 'epoch'))
      throw new UsageError('--rate bounds workers; a new epoch of the live state is built without it')
    if (json !== true) terminal.out(renderPlans(plans, terminal.colour))
    else if (options.dryRun === true) print(terminal, json, plans, () => '')
    refuse(plans)
    if (options.dryRun === true) return
    for (const plan of plans) {
      if (plan.effect === 'epoch') flipped.push(await buildEpoch(context, options, plan, options.reason))
      else begun.push(await startReplay(opened, plan, { mode: plan.mode, perSecond, reason: options.reason }))
    }
  }
  const ended: ReplayStatus[] = []
  for (const replay of begun)
    ended.push(options.wait === true ? await follow(context, opened, replay, json) : await replayStatus(opened, replay))
  print(terminal, json, { replays: ended, epochs: flipped }, () =>
    [
      ...(ended.length > 0 ? [renderReplays(ended, terminal.colour)] : []),
      ...flipped.map(({ epoch, projectId }) => `epoch ${epoch} of ${projectId} is in force`)
    ].join('\n')
  )
  const bad = options.wait === true ? ended.find(({ state }) => state !== 'done') : undefined
  if (bad !== undefined) throw new AppError('PIPE_CONFLICT', `replay ${bad.id} is ${bad.state}`)
}

function addStatus(group: Command, context: CliContext): void {
  addCommand(group, {
    usage: 'status [id]',
    description: 'the replays that are under way and the last ones, and how far each is',
    examples: ['npx millrace replay status', 'npx millrace replay status 12 --json']
  }).action(async (id: string | undefined, { json, dataDir }: CommonOptions) => {
    await using stack = new AsyncDisposableStack()
    const opened = await open(context, dataDir, stack)
    const replays = id === undefined ? await listReplays(opened.postgres, 20) : [await findReplay(opened.postgres, id)]
    const shown: ReplayStatus[] = []
    for (const replay of replays) shown.push(await replayStatus(opened, replay))
    print(context.terminal, json, shown, () => renderReplays(shown, context.terminal.colour))
  })
}

function addAbort(group: Command, context: CliContext): void {
  addCommand(group, {
    usage: 'abort <id>',
    description: 'end a replay; a group that was moved back in place is put back to where it stood',
    examples: ['npx millrace replay abort 12']
  }).action(async (id: string, { json, dataDir }: CommonOptions) => {
    await using stack = new AsyncDisposableStack()
    const opened = await open(context, dataDir, stack)
    const shown = await replayStatus(opened, await abortReplay(opened, id))
    print(context.terminal, json, shown, () => renderReplays([shown], context.terminal.colour))
  })
}

interface Opened extends ReplayDeps {
  readonly postgres: Postgres
  readonly admin: Awaited<ReturnType<typeof openLog>>['admin']
  readonly client: Awaited<ReturnType<typeof openLog>>['client']
}

async function open(context: CliContext, dataDir: string, stack: AsyncDisposableStack): Promise<Opened> {
  const postgres = await openDatabase(context, dataDir, stack)
  const { admin, client } = await openLog(context, dataDir, stack)
  const actor = actorOf()
  const { env, clock } = context
  const faults = createFaults(env['MILLRACE_FAULTS'], env['MILLRACE_TEST'] === '1')
  return {
    postgres,
    admin,
    client,
    clock,
    actor,
    holder: `${actor}:${process.pid}:${randomUUID().slice(0, 8)}`,
    faults
  }
}

async function plansOf(context: CliContext, opened: Opened, options: RangeOptions): Promise<readonly GroupPlan[]> {
  const { admin, client, clock, postgres } = opened
  const manifest = createArchiveManifest(postgres)
  const plans: GroupPlan[] = []
  for (const request of toRequests(options, clock.now())) {
    const plan = await planReplay({ admin, manifest, log: { client, clock } }, request)
    plans.push(plan.effect === 'epoch' ? await withEpoch(context, options, plan, request) : plan)
  }
  return plans
}

function refuse(plans: readonly GroupPlan[]): void {
  const refused = plans.filter(({ refusals }) => refusals.length > 0)
  if (refused.length === 0) return
  const reasons = refused.map(({ group, refusals }) => `${group}: ${refusals.join('; ')}`)
  throw new AppError('PIPE_CONFLICT', reasons.join(' | '))
}

async function follow(
  context: CliContext,
  opened: Opened,
  replay: Replay,
  json: boolean | undefined
): Promise<ReplayStatus> {
  const draw = showReplay(context.terminal, json, context.clock)
  for (;;) {
    const shown = await replayStatus(opened, await findReplay(opened.postgres, replay.id))
    draw(shown)
    if (isOver(shown)) return shown
    await context.clock.sleep(500)
  }
}
