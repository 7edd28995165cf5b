// Compares the log of every project with its sinks again and again, and tells by series, log and API what is not there.
import { AppError, isTransient, toError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import type { Reconciliation, ReconcileRequest } from '@millrace/operations/reconcile'
import type { FailedReconciliation, ReconciledProjects } from '@millrace/operations/reconciliations'
import { errorFields } from '@millrace/service'
import type { reconcileMetrics } from '../metrics.ts'
import type { Differences, Marks, MarkStore } from './marks.ts'

export interface ReconcileJobDeps {
  readonly listProjects: () => Promise<readonly string[]>
  readonly reconcile: (request: ReconcileRequest) => Promise<Reconciliation>
  readonly marks: MarkStore
  /** Keeps what was found for whoever asks. */
  readonly save: (found: ReconciledProjects) => Promise<void>
  readonly metrics: BoundMetrics<typeof reconcileMetrics>
  readonly log: Logger
  readonly clock: Clock
  readonly signal: AbortSignal
  /** 0: never. */
  readonly everyMs: number
  readonly rangeMs: number
}

/** The age of the last comparison is told this often. */
const lookMs = 10_000

/**
 * Starts the job, which resolves when it has stopped; it ends with `signal`. It begins when the interval has passed since any process began last, whatever became
 * of that. A project that cannot be compared does not stop the others.
 */
export function startReconcileJob(deps: ReconcileJobDeps): Promise<void> {
  const { marks, metrics, clock, signal, everyMs } = deps
  let known: Marks = { sinceMs: clock.now(), begunMs: undefined, endedMs: undefined, differences: {} }
  const look = async (): Promise<void> => {
    known = await marks.read(clock.now())
    tellDifferences(metrics, known)
    if (clock.now() - (known.begunMs ?? -Infinity) < everyMs) return
    const projectIds = await deps.listProjects()
    await marks.begun(clock.now())
    const found = await compareAll(deps, projectIds)
    if (found === undefined) return
    const isSaved = await isKept(deps, found)
    const isWhole = isSaved && found.failed.length === 0
    await marks.found(differencesAfter(known, found), isWhole ? clock.now() : undefined)
    known = await marks.read(clock.now())
    tellDifferences(metrics, known)
  }
  const tellAge = (): void => metrics.age.set((clock.now() - (known.endedMs ?? known.sinceMs)) / 1_000)
  const again = async (work: () => Promise<void>): Promise<void> => {
    while (!signal.aborted) {
      await clock.sleep(lookMs, signal).catch(() => undefined)
      if (signal.aborted) return
      await work().catch((error: unknown) => warn(deps, error, {}))
      tellAge()
    }
  }
  // Beside it: a comparison that does not end grows old, too.
  const run = async (): Promise<void> => void (await Promise.all([again(look), again(async () => undefined)]))
  return everyMs === 0 ? Promise.resolve() : run()
}

/** What nobody can be answered with is not over: the age goes on growing beside the old answer. */
async function isKept(deps: ReconcileJobDeps, found: ReconciledProjects): Promise<boolean> {
  try {
    await deps.save(found)
    return true
  } catch (error) {
    warn(deps, error, {})
    return false
  }
}

/** Undefined when it was told to stop. */
async function compareAll(
  deps: ReconcileJobDeps,
  projectIds: readonly string[]
): Promise<ReconciledProjects | undefined> {
  const { metrics, log, clock, signal, rangeMs } = deps
  const projects: Reconciliation[] = []
  const failed: FailedReconciliation[] = []
  for (const projectId of projectIds) {
    if (signal.aborted) return undefined
    try {
      const found = await deps.reconcile({ projectId, fromMs: clock.now() - rangeMs, table: 'events_raw' })
      againstNothing(found)
      projects.push(found)
      metrics.projects.add(1, { outcome: found.cut > 0n ? 'cut' : 'compared' })
      if (!found.isGreen) log.error(summary(found), 'the sinks do not have what the log has')
      if (found.cut > 0n)
        log.warn(
          { project: projectId, records: found.records, cut: String(found.cut) },
          'only the newest part of the range was compared'
        )
    } catch (error) {
      const isRefused = error instanceof AppError && error.code === 'PIPE_INVALID_INPUT'
      metrics.projects.add(1, { outcome: isRefused ? 'refused' : 'failed' })
      failed.push({ projectId, reason: toError(error).message })
      warn(deps, error, { project: projectId })
    }
  }
  return { endedMs: clock.now(), projects, failed }
}

/** Throws PIPE_CONFLICT when a group did nothing at all, so that nothing was found; what was found all the same is told. */
function againstNothing(found: Reconciliation): void {
  const { unplaced } = found
  const { warehouse, letters, live } = differencesOf(found)
  if (unplaced.length === 0 || warehouse + letters + live > 0) return
  const named = unplaced.join(', group ')
  throw new AppError('PIPE_CONFLICT', `group ${named} has no position in its log: is that the name of the group?`)
}

function warn({ log }: ReconcileJobDeps, error: unknown, about: object): void {
  const fields = { ...errorFields(error), ...about }
  if (!isTransient(error)) log.error(fields, 'the comparison of log and sinks failed')
  else log.warn(fields, 'log and sinks are compared later')
}

function tellDifferences(metrics: ReconcileJobDeps['metrics'], { differences }: Marks): void {
  for (const sink of ['warehouse', 'letters', 'live'] as const)
    metrics.differences.set(
      Object.values(differences).reduce((sum, each) => sum + each[sink], 0),
      { sink }
    )
}

/** Of a project that could not be compared, what was known of it. */
function differencesAfter({ differences }: Marks, { projects, failed }: ReconciledProjects): Marks['differences'] {
  const isFailed = new Set(failed.map(({ projectId }) => projectId))
  const kept = Object.entries(differences).filter(([projectId]) => isFailed.has(projectId))
  return Object.fromEntries([...kept, ...projects.map((each) => [each.projectId, differencesOf(each)] as const)])
}

function differencesOf({ missing, extra, repeated, unlettered, windows }: Reconciliation): Differences {
  return {
    warehouse: missing.count + extra.count + repeated.count,
    letters: unlettered.count,
    live: windows?.wrong.length ?? 0
  }
}

function summary({ projectId, missing, extra, repeated, unlettered, windows }: Reconciliation): object {
  const [example] = [...missing.examples, ...extra.examples, ...repeated.examples, ...unlettered.examples]
  return {
    project: projectId,
    missing: missing.count,
    extra: extra.count,
    repeated: repeated.count,
    unlettered: unlettered.count,
    wrongHours: windows?.wrong.length ?? 0,
    ...(example === undefined ? {} : { partition: example.partition, offset: String(example.offset) })
  }
}
