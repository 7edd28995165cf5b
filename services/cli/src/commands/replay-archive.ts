// `millrace replay --from-archive`: the warehouse is loaded from the archive, by this process. A range is what it names and
// no more; without one it is everything, and what the log has behind the archive.
import { enrichFields } from '@millrace/config'
import { AppError } from '@millrace/kernel'
import { loadArchiveRange, planArchiveRange } from '@millrace/operations/archive-range'
import type { ArchiveRangePlan, ArchiveRangeReport, ArchiveRangeRequest } from '@millrace/operations/archive-range'
import { writeAudit } from '@millrace/operations/audit'
import { queueLoadedDays } from '@millrace/operations/loaded-days'
import { createWarehouseSink } from '@millrace/operations/warehouse-sink'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import { openEnrich } from '@millrace/stores/country-database'
import type { Postgres } from '@millrace/stores/postgres'
import { openDatabase, openLog, openObjects, openWarehouse } from '../connections.ts'
import { settings } from '../context.ts'
import type { CliContext } from '../context.ts'
import { actorOf } from '../identity.ts'
import { formatCount, print } from '../output.ts'
import { rebuildWarehouseFrom, showLoading } from './archive-rebuild.ts'
import { archiveRequestOf, rateOf } from './replay-options.ts'
import type { RangeOptions } from './replay-options.ts'
import { renderGone, renderPlans } from './replay-text.ts'

export interface ArchiveOptions extends RangeOptions {
  readonly rate?: string
  readonly reason?: string
  readonly dryRun?: boolean
}

/** Whether the archive is what is read; then it was, or what that would read was said. Throws as `loadArchiveRange`. */
export async function fromArchive(context: CliContext, options: ArchiveOptions): Promise<boolean> {
  const request = archiveRequestOf(options, context.clock.now())
  if (request === undefined) return false
  if (request.kind === 'all') await loadAll(context, options, request.group)
  else await loadRange(context, options, request)
  return true
}

async function loadAll(context: CliContext, options: ArchiveOptions, group: string): Promise<void> {
  const { project, rate, dryRun = false, reason = '', dataDir, json, acceptGone = false } = options
  if (!dryRun) {
    await using stack = new AsyncDisposableStack()
    const postgres = await openDatabase(context, dataDir, stack)
    await note(postgres, options, group, 'replay.start', { source: 'archive', effect: 'reads', reason })
  }
  const common = { dataDir, ...(json === undefined ? {} : { json }), ...(rate === undefined ? {} : { rate }) }
  await rebuildWarehouseFrom(context, { ...common, into: 'warehouse', project, group, log: true, dryRun, acceptGone })
}

async function loadRange(context: CliContext, options: ArchiveOptions, request: ArchiveRangeRequest): Promise<void> {
  const { terminal, clock } = context
  const { dataDir, json, dryRun = false, reason = '' } = options
  const perSecond = rateOf(options.rate)
  await using stack = new AsyncDisposableStack()
  const postgres = await openDatabase(context, dataDir, stack)
  const { admin } = await openLog(context, dataDir, stack)
  const plan = await planArchiveRange({ manifest: createArchiveManifest(postgres), admin }, request)
  const refusal =
    plan.refusals.length === 0 ? undefined : new AppError('PIPE_CONFLICT', `${plan.group}: ${plan.refusals.join('; ')}`)
  const text = (): string => [renderPlans([plan], terminal.colour), ...renderGone(plan.gone)].join('\n')
  if (dryRun) print(terminal, json, [shownOf(plan)], text)
  else if (json !== true) terminal.out(text())
  if (refusal !== undefined) throw refusal
  if (dryRun) return
  const clickhouse = await openWarehouse(context, dataDir, stack)
  const enrich = await openEnrich(settings(context, dataDir, enrichFields))
  const { source, effect, records } = plan
  const parts = plan.parts.map(({ partition, from, to }) => `${partition}: ${from} to ${to}`)
  const details = { source, effect, reason, records: String(records), parts }
  await note(postgres, options, plan.group, 'replay.start', details)
  const sink = createWarehouseSink({ clickhouse, enrich, clock })
  const objects = openObjects(context, dataDir, stack)
  const report = await loadArchiveRange(
    { objects, sink, clock, onProgress: showLoading(terminal, json) },
    plan,
    perSecond
  )
  const days = await queueLoadedDays(postgres, report)
  const { archived, broken, refused, gone } = report
  const left = { archived, broken: broken.length, refused: refused.length, gone: gone.length, days }
  await note(postgres, options, plan.group, 'replay.done', left)
  print(terminal, json, { ...report, days }, () => renderReport(report, days))
  if (broken.length > 0)
    throw new AppError('PIPE_ARCHIVE_BROKEN', `${broken.length} file(s) could not be loaded; see docs/archive.md`)
  if (refused.length > 0)
    throw new AppError('PIPE_CLICKHOUSE_REFUSED', `${refused.length} record(s) refused; see docs/archive.md`)
}

async function note(
  postgres: Postgres,
  { project }: ArchiveOptions,
  group: string,
  action: 'replay.start' | 'replay.done',
  details: Readonly<Record<string, unknown>>
): Promise<void> {
  const subject = `the archive into ${group}`
  await writeAudit(postgres, { actor: actorOf(), action, projectId: project, subject, details })
}

/** A plan with the names of its files. */
function shownOf({ files, ...plan }: ArchiveRangePlan): unknown {
  return { ...plan, files: files.map(({ key }) => key) }
}

function renderReport(report: ArchiveRangeReport, days: number): string {
  const { files, archived, invalid, refused, broken, gone, elapsedMs } = report
  return [
    `files             ${formatCount(files)}`,
    `records archived  ${formatCount(archived)}`,
    `no events         ${formatCount(invalid)}`,
    `days to recount   ${formatCount(days)}`,
    `seconds           ${formatCount(Math.round(elapsedMs / 1_000))}`,
    ...refused.map(({ topic, partition, offset }) => `refused           ${topic}:${partition} ${offset}`),
    ...renderGone(gone),
    ...broken.map(({ key, problem }) => `broken            ${key}: ${problem}`)
  ].join('\n')
}
