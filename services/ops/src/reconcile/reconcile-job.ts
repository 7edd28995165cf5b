// Compares the log of every project with its sinks again and again, and tells by series, log and API what is not there.
import { isTransient } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import type { Reconciliation, ReconcileRequest } from '@millrace/operations/reconcile'
import { errorFields } from '@millrace/service'
import type { reconcileMetrics } from '../metrics.ts'

export interface ReconcileJobDeps {
  readonly listProjects: () => Promise<readonly string[]>
  readonly reconcile: (request: ReconcileRequest) => Promise<Reconciliation>
  readonly metrics: BoundMetrics<typeof reconcileMetrics>
  readonly log: Logger
  readonly clock: Clock
  readonly signal: AbortSignal
  /** 0: never. */
  readonly everyMs: number
  readonly rangeMs: number
}

export interface LastReconciliation {
  readonly endedAt: string
  readonly projects: readonly Reconciliation[]
}

export interface ReconcileJob {
  /** The last comparison of all projects that came to its end. */
  last(): LastReconciliation | undefined
  /** Resolves when the job has stopped. */
  readonly done: Promise<void>
}

/** The age of the last comparison is told this often. */
const lookMs = 10_000

/** Starts the job; it ends with `signal`. A store that is away is a warning, and the next turn tries again. */
export function startReconcileJob(deps: ReconcileJobDeps): ReconcileJob {
  const { metrics, log, clock, signal, everyMs } = deps
  let last: LastReconciliation | undefined
  let endedMs = clock.monotonic()
  const turn = async (): Promise<void> => {
    const projects: Reconciliation[] = []
    for (const projectId of await deps.listProjects()) {
      if (signal.aborted) return
      const nowMs = clock.now()
      const found = await deps.reconcile({ projectId, fromMs: nowMs - deps.rangeMs, table: 'events_raw' })
      projects.push(found)
      if (!found.isGreen) log.error(summary(found), 'the sinks do not have what the log has')
    }
    last = { endedAt: new Date(clock.now()).toISOString(), projects }
    endedMs = clock.monotonic()
    tell(metrics, projects)
  }
  const run = async (): Promise<void> => {
    let nextMs = clock.monotonic() + Math.min(everyMs, lookMs)
    while (!signal.aborted) {
      await clock.sleep(lookMs, signal).catch(() => undefined)
      if (signal.aborted) return
      if (clock.monotonic() >= nextMs) {
        nextMs = clock.monotonic() + everyMs
        await turn().catch((error: unknown) => {
          if (!isTransient(error)) log.error(errorFields(error), 'the comparison of log and sinks failed')
          else log.warn(errorFields(error), 'log and sinks are compared later')
        })
      }
      metrics.age.set((clock.monotonic() - endedMs) / 1_000)
    }
  }
  return { last: () => last, done: everyMs === 0 ? Promise.resolve() : run() }
}

function tell(metrics: ReconcileJobDeps['metrics'], projects: readonly Reconciliation[]): void {
  const sum = (of: (each: Reconciliation) => number): number => projects.reduce((total, each) => total + of(each), 0)
  metrics.differences.set(
    sum(({ missing, extra, repeated }) => missing.count + extra.count + repeated.count),
    { sink: 'warehouse' }
  )
  metrics.differences.set(
    sum(({ unlettered }) => unlettered.count),
    { sink: 'letters' }
  )
  metrics.differences.set(
    sum(({ windows }) => windows?.wrong.length ?? 0),
    { sink: 'live' }
  )
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
