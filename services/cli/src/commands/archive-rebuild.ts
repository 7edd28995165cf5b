// `millrace archive rebuild`: fills the warehouse again from the archive.
import { clickhouseFields, enrichFields, url } from '@millrace/config'
import { AppError } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { queueLoadedDays } from '@millrace/operations/loaded-days'
import { writePersonEdges } from '@millrace/operations/identity-closure'
import { restoreWarehouse } from '@millrace/operations/migrate'
import { countOf } from '@millrace/operations/offsets'
import type { LoadProgress } from '@millrace/operations/paced-load'
import { goalOf, planWarehouse, recordsOf } from '@millrace/operations/warehouse-plan'
import type { WarehousePlan } from '@millrace/operations/warehouse-plan'
import { countsAsWhole, rebuildWarehouse } from '@millrace/operations/warehouse-rebuild'
import type { RebuildReport } from '@millrace/operations/warehouse-rebuild'
import { createWarehouseSink } from '@millrace/operations/warehouse-sink'
import { noteWarehouseWhole } from '@millrace/operations/warehouse-whole'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import { openEnrich } from '@millrace/stores/country-database'
import type { Command } from 'commander'
import { openDatabase, openLog, openObjects, openWarehouse } from '../connections.ts'
import { settings } from '../context.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { formatCount, print, toTable, UsageError } from '../output.ts'
import type { Terminal } from '../output.ts'
import { addCommand } from './command.ts'
import { renderGone } from './replay-text.ts'

interface RebuildOptions extends CommonOptions {
  readonly into: string
  readonly project?: string
  readonly group: string
  readonly rate?: string
  readonly log: boolean
  readonly dryRun?: boolean
  readonly acceptGone?: boolean
}

const fields = {
  ...clickhouseFields,
  DATABASE_DIRECT_URL: url({
    doc: 'PostgreSQL without a pooler between.',
    protocols: ['postgres:', 'postgresql:']
  })
}

/** Adds `archive rebuild`. */
export function addArchiveRebuild(group: Command, context: CliContext): void {
  addCommand(group, {
    usage: 'rebuild',
    description: 'load the warehouse again: from the archive, and from the log where the archive ends',
    examples: [
      'npx millrace archive rebuild --into warehouse --dry-run',
      'npx millrace archive rebuild --into warehouse',
      'npx millrace archive rebuild --into warehouse --project shop --rate 20000'
    ]
  })
    .requiredOption('--into <store>', 'what to fill: warehouse')
    .option('--project <projectId>', 'only this project')
    .option('--group <groupId>', 'consumer group of the loaders', 'load')
    .option('--rate <records>', 'records a second at most')
    .option('--no-log', 'only the archive; do not read the log')
    .option('--dry-run', 'only say what would be read')
    .option(
      '--accept-gone',
      'let the curator count although offsets are gone; without it, it waits for a whole rebuild'
    )
    .action((options: RebuildOptions) => rebuildWarehouseFrom(context, options))
}

/** Loads the warehouse again, or says what that would read. */
export async function rebuildWarehouseFrom(context: CliContext, options: RebuildOptions): Promise<void> {
  const { terminal, clock } = context
  const { json, dataDir, project, group } = options
  if (options.into !== 'warehouse') throw new UsageError(`--into must be warehouse, not '${options.into}'`)
  const perSecond = rateOf(options.rate)
  const projects = project === undefined ? [] : [project]
  await using stack = new AsyncDisposableStack()
  const objects = openObjects(context, dataDir, stack)
  const postgres = await openDatabase(context, dataDir, stack)
  const manifest = createArchiveManifest(postgres)
  const log = options.log ? { ...(await openLog(context, dataDir, stack)), clock } : undefined
  // Before tables are made.
  await log?.admin.brokerCount()
  if (options.dryRun === true) {
    const admin = log?.admin
    const plan = await planWarehouse({ manifest, admin }, projects, await goalOf(admin, projects))
    const { archivedTo: _positions, ...shown } = plan
    return print(terminal, json, { records: recordsOf(plan), ...shown }, () => renderPlan(plan, terminal.colour))
  }
  const { DATABASE_DIRECT_URL: databaseDirectUrl, CLICKHOUSE_URL: clickhouseUrl } = settings(context, dataDir, fields)
  const silent = createSilentLogger()
  const restored = await restoreWarehouse({ databaseDirectUrl, clickhouseUrl, log: silent })
  if (restored.length > 0 && json !== true) terminal.out(`made again: ${restored.join(', ')}`)
  const clickhouse = await openWarehouse(context, dataDir, stack)
  const enrich = await openEnrich(settings(context, dataDir, enrichFields))
  const report = await rebuildWarehouse(
    {
      manifest,
      objects,
      log,
      sink: createWarehouseSink({ clickhouse, enrich, clock }),
      clock,
      onProgress: showLoading(terminal, json)
    },
    { projects, group, perSecond }
  )
  // Merges of user ids are no records: they come from the database.
  await writePersonEdges({ postgres, clickhouse })
  const recounts = await queueLoadedDays(postgres, report)
  const isBelieved = projects.length === 0 && log !== undefined && countsAsWhole(report, options.acceptGone === true)
  if (isBelieved) await noteWarehouseWhole({ postgres, clickhouse })
  print(terminal, json, { ...report, days: recounts, restored }, () => renderReport(report, group))
  if (report.refused.length > 0 && report.broken.length === 0)
    throw new AppError('PIPE_CLICKHOUSE_REFUSED', `${report.refused.length} record(s) refused; see docs/archive.md`)
  if (report.broken.length > 0)
    throw new AppError(
      'PIPE_ARCHIVE_BROKEN',
      `${report.broken.length} file(s) could not be loaded; see docs/archive.md`
    )
}

function rateOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`--rate must be a whole number above 0, not '${text}'`)
  return Number(text)
}

const barWidth = 30

/** On a terminal one line that is rewritten ten times a second at most; elsewhere nothing but the result. */
export function showLoading(terminal: Terminal, json: boolean | undefined): (progress: LoadProgress) => void {
  if (json === true || !terminal.isTty) return () => undefined
  let shownMs = 0
  return ({ done, of, elapsedMs }) => {
    if (elapsedMs - shownMs < 100 && done < of) return
    shownMs = elapsedMs
    const share = of === 0 ? 1 : done / of
    const bar = '#'.repeat(Math.round(share * barWidth)).padEnd(barWidth, '.')
    const perSecond = Math.round((done * 1_000) / Math.max(1, elapsedMs))
    const left = perSecond === 0 ? '?' : Math.ceil((of - done) / perSecond)
    const text = `[${bar}] ${Math.floor(share * 100)} % of ${formatCount(of)}, ${formatCount(perSecond)}/s, ${left} s left`
    terminal.write(`\r\u001B[K${text.slice(0, terminal.columns - 1)}${done >= of ? '\n' : ''}`)
  }
}

function renderPlan(plan: WarehousePlan, colour: boolean): string {
  const rows = plan.projects.map((project) => {
    const own = ({ topic }: { readonly topic: string }): boolean => topic === `events.${project}`
    const files = plan.files.filter(own)
    const tails = plan.tails.filter(own)
    const archived = files.reduce((sum, { rows: count }) => sum + count, 0)
    return [project, files.length, archived, countOf(tails), countOf(plan.gone.filter(own))]
  })
  const table = toTable(['project', 'files', 'records in files', 'records in the log', 'gone'], rows, colour)
  return `${table}\n${formatCount(recordsOf(plan))} records would be loaded`
}

const groupWords = {
  moved: 'stands at the end of what was loaded',
  ahead: 'stood there already',
  running: 'has members, which go on where they are',
  untouched: 'stays where it is'
} as const

function renderReport(report: RebuildReport, group: string): string {
  const { files, archived, logged, invalid, refused, broken, gone, elapsedMs } = report
  return [
    `files             ${formatCount(files)}`,
    `records archived  ${formatCount(archived)}`,
    `records of log    ${formatCount(logged)}`,
    `no events         ${formatCount(invalid)}`,
    `group ${group.padEnd(11)} ${groupWords[report.group]}`,
    `seconds           ${formatCount(Math.round(elapsedMs / 1_000))}`,
    ...refused.map(({ topic, partition, offset }) => `refused           ${topic}:${partition} ${offset}`),
    ...renderGone(gone),
    ...broken.map(({ key, problem }) => `broken            ${key}: ${problem}`)
  ].join('\n')
}
