// `millrace reconcile`: whether everything that was accepted is where it belongs.
import { createWindowReader } from '@millrace/aggregation/window-reader'
import { liveStateFields } from '@millrace/config'
import { AppError, later } from '@millrace/kernel'
import { listProjects } from '@millrace/operations/projects'
import { reconcile } from '@millrace/operations/reconcile'
import type { ArchiveReading, Reconciliation, ReconcileRequest } from '@millrace/operations/reconcile'
import type { Found } from '@millrace/operations/reconcile-compare'
import { keptFromOf } from '@millrace/operations/warehouse-retention'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import type { Command } from 'commander'
import { openDatabase, openLiveState, openLog, openObjects, openWarehouse } from '../connections.ts'
import { settings } from '../context.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { formatCount, print } from '../output.ts'
import type { Terminal } from '../output.ts'
import { timeOf } from '../time-option.ts'
import { addCommand } from './command.ts'
import { groupOf } from './replay-options.ts'

interface ReconcileOptions extends CommonOptions {
  readonly project?: string
  readonly from?: string
  readonly to?: string
  readonly group?: string
}

const comparedKinds = ['load', 'process', 'aggregate'] as const

/** Adds `reconcile`. */
export function addReconcileCommand(program: Command, context: CliContext): void {
  addCommand(program, {
    usage: 'reconcile',
    description:
      'compare the log with the warehouse, the dead letters and the closed live hours; exit code 1 when anything differs',
    examples: [
      'npx millrace reconcile',
      'npx millrace reconcile --project shop --from 2h',
      'npx millrace reconcile --group load=eu-load,process=eu-process',
      'npx millrace reconcile --project shop --from 2026-01-31T00:00:00Z --to 2026-02-01T00:00:00Z --json'
    ]
  })
    .option('--project <projectId>', 'only this project')
    .option(
      '--from <time>',
      'what the broker stored at or after this time, from the archive where the log forgot it; default: all that the log has'
    )
    .option('--to <time>', 'what it stored before this time; default: up to where the loaders are')
    .option(
      '--group <groups>',
      'consumer groups with other names: load=eu-load,process=eu-process,aggregate=eu-aggregate'
    )
    .action((options: ReconcileOptions) => run(context, options))
}

/** What `--group` names; the others are called what they do. Throws a UsageError. */
export function groupsOf(
  text: string | undefined
): Pick<ReconcileRequest, 'loadGroup' | 'processGroup' | 'aggregateGroup'> {
  const named = text?.split(',').map((each) => groupOf(each.trim(), comparedKinds)) ?? []
  return Object.fromEntries(named.map(({ kind, group }) => [`${kind}Group`, group]))
}

async function run(context: CliContext, options: ReconcileOptions): Promise<void> {
  const { json, dataDir, project, from, to } = options
  const { terminal, clock } = context
  const groups = groupsOf(options.group)
  const fromMs = from === undefined ? undefined : timeOf('--from', from, clock.now())
  const toMs = to === undefined ? undefined : timeOf('--to', to, clock.now())
  await using stack = new AsyncDisposableStack()
  const { admin, client } = await openLog(context, dataDir, stack)
  const clickhouse = await openWarehouse(context, dataDir, stack)
  const reader = createWindowReader(await openLiveState(context, dataDir, stack))
  const { LATENESS_MS: latenessMs } = settings(context, dataDir, liveStateFields)
  const postgres = await openDatabase(context, dataDir, stack)
  const projects = project === undefined ? (await listProjects(postgres)).map(({ projectId }) => projectId) : [project]
  // Its settings are asked for when a file has to be read.
  const objects = later(async () => openObjects(context, dataDir, stack))
  const archive: ArchiveReading = {
    manifest: createArchiveManifest(postgres),
    objects: { get: async (key) => (await objects()).get(key) }
  }
  const keptFrom = async (projectId: string): Promise<number> => (await keptFromOf(postgres, clock))(projectId)
  const found: Reconciliation[] = []
  for (const projectId of projects) {
    const onProgress = showProgress(terminal, json, projectId)
    const windows = { reader, clock, latenessMs }
    const deps = { admin, log: { client, clock }, clickhouse, windows, archive, keptFrom, onProgress }
    const one = await reconcile(deps, { projectId, fromMs, toMs, ...groups })
    found.push(one)
    if (json !== true) terminal.out(render(one))
  }
  if (json === true) print(terminal, json, found, () => '')
  const red = found.filter(({ isGreen }) => !isGreen)
  if (red.length > 0)
    throw new AppError('PIPE_CONFLICT', `${red.map(({ projectId }) => projectId).join(', ')}: not everything is there`)
}

function showProgress(
  terminal: Terminal,
  json: boolean | undefined,
  projectId: string
): (done: bigint, of: bigint) => void {
  if (json === true || !terminal.isTty) return () => undefined
  let shown = -1n
  return (done, of) => {
    const share = of === 0n ? 100n : (done * 100n) / of
    if (share === shown) return
    shown = share
    terminal.write(`\r\u001B[K${projectId}: ${share} % of ${formatCount(of)} records read${share >= 100n ? '\n' : ''}`)
  }
}

function render(found: Reconciliation): string {
  const { projectId, records, archived, events, copies, landed, dead, past, pending, unplaced } = found
  const { forgotten, gone, cut, windows, isGreen } = found
  const wrong = windows?.wrong ?? []
  return [
    `${projectId}: ${isGreen ? 'green' : 'RED'}`,
    `  records     ${formatCount(records)} read: ${formatCount(events)} events, ${formatCount(copies)} further copies`,
    ...(archived === 0 ? [] : [`  archived    ${formatCount(archived)} of them read from the archive`]),
    `  shown       ${formatCount(landed)}`,
    `  dead        ${formatCount(dead)}`,
    ...(forgotten === 0
      ? []
      : [`  forgotten   ${formatCount(forgotten)}, no events, whose letters would be older than those that are kept`]),
    ...(past === 0 ? [] : [`  past        ${formatCount(past)}, older than what the warehouse keeps`]),
    `  pending     ${formatCount(pending)}`,
    ...unplaced.map((group) => `  no position group ${group} has none in this log: is that its name? See --group`),
    ...(cut === 0n ? [] : [`  left out    ${formatCount(cut)}, the oldest`]),
    ...(gone === 0n ? [] : [`  gone        ${formatCount(gone)}, which neither the log nor the archive has`]),
    ...(windows === undefined ? [] : [`  live hours  ${windows.compared} compared, ${wrong.length} wrong`]),
    ...toLines('missing', found.missing),
    ...toLines('extra', found.extra),
    ...toLines('repeated', found.repeated),
    ...toLines('no letter', found.unlettered),
    ...wrong.map(
      ({ hourMs, expected, found: count }) =>
        `  wrong hour  ${new Date(hourMs).toISOString()}: ${formatCount(count)} counted, ${formatCount(expected)} in the log`
    )
  ].join('\n')
}

function toLines(name: string, { count, examples }: Found): readonly string[] {
  if (count === 0) return []
  const lines = examples.map(
    ({ partition, offset, eventId }) =>
      `    partition ${partition}, offset ${offset}${eventId === undefined ? '' : `: ${eventId}`}`
  )
  return [`  ${name.padEnd(11)} ${formatCount(count)}${count > examples.length ? ', the first of them' : ''}`, ...lines]
}
