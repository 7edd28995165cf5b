// What the curator does, again and again: settings of the warehouse, the nightly pass of each project, and the days that
// wait. One task that fails does not hold up the others.
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import { renewPersonEdges } from '@millrace/operations/identity-closure'
import { listDefinitions } from '@millrace/operations/metric-definitions'
import { listProjects } from '@millrace/operations/projects'
import { keptFromOf, readRetention } from '@millrace/operations/warehouse-retention'
import { errorFields } from '@millrace/service'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Postgres, Queryable } from '@millrace/stores/postgres'
import { noteCuts } from './cuts.ts'
import type { IsLoaded } from './loaded.ts'
import type { curatorMetrics } from './metrics.ts'
import { passProject } from './night.ts'
import type { NightDeps } from './night.ts'
import { recountDays } from './recount.ts'
import { appliedRetention, applyConversionTypes, applyRetention } from './retention.ts'
import type { IsWhole } from './whole.ts'

type Warehouse = Pick<Clickhouse, 'rows' | 'command' | 'insertLines'>

export interface TaskDeps {
  readonly postgres: Postgres
  readonly clickhouse: Warehouse
  readonly isWhole: IsWhole
  readonly isLoaded: IsLoaded
  readonly metrics: BoundMetrics<typeof curatorMetrics>
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly projects: readonly string[]
  readonly conversionTypes: readonly string[]
  readonly latenessMs: number
  readonly settleMs: number
  readonly passAfterMs: number
  readonly doublesDays: number
  readonly everyMs: number
}

/** What the passes need. */
interface PassDeps extends NightDeps {
  readonly signal: AbortSignal
  readonly projects: readonly string[]
}

type Task = 'settings' | 'persons' | 'pass' | 'recount'

/** Runs every task at once and then every `everyMs` until `signal` aborts. Never rejects. */
export async function keepCurating(deps: TaskDeps): Promise<void> {
  const { clock, signal, everyMs, metrics, log } = deps
  const attempt = async (task: Task, work: () => Promise<void>): Promise<void> => {
    if (signal.aborted) return
    try {
      await work()
    } catch (error) {
      if (signal.aborted) return
      metrics.failures.add(1, { task })
      log.warn({ ...errorFields(error), task }, 'a task of the curator failed and is tried again')
    }
  }
  while (!signal.aborted) {
    await attempt('settings', () => applySettings(deps))
    await attempt('persons', () => renewPersons(deps))
    await attempt('pass', () => passProjects(deps))
    await attempt('recount', () => recount(deps))
    await clock.sleep(everyMs, signal).catch(() => {})
  }
}

/** `clickhouse` whose requests end when `signal` aborts: a count over a long day must not hold up a stop. */
export function untilAborted(clickhouse: Warehouse, signal: AbortSignal): Warehouse {
  return {
    rows: (sql, params, request) => clickhouse.rows(sql, params, { ...request, signal }),
    command: (sql, request) => clickhouse.command(sql, { ...request, signal }),
    insertLines: (table, columns, body, request) => clickhouse.insertLines(table, columns, body, { ...request, signal })
  }
}

async function applySettings({ postgres, clickhouse, conversionTypes, log, clock }: TaskDeps): Promise<void> {
  await applyConversionTypes(clickhouse, conversionTypes)
  await applyCuts({ postgres, clickhouse, log, clock })
}

/** The retention in force cut until now, whoever was there to see it; the new one cuts from now on. */
export async function applyCuts(deps: Pick<TaskDeps, 'clickhouse' | 'log' | 'clock'> & CutDeps): Promise<void> {
  const { postgres, clickhouse, log, clock } = deps
  const wanted = await readRetention(postgres)
  await noteCuts(postgres, await appliedRetention(clickhouse), clock.now())
  await noteCuts(postgres, wanted, clock.now())
  await applyRetention(clickhouse, wanted, log)
}

interface CutDeps {
  readonly postgres: Queryable
}

/** `identity merge` writes to PostgreSQL, then here; this completes what was cut off between the two. */
async function renewPersons({ postgres, clickhouse, log }: TaskDeps): Promise<void> {
  const projects = await renewPersonEdges({ postgres, clickhouse })
  if (projects.length > 0) log.info({ projects }, 'merges of user ids were not those of the warehouse and are written')
}

/** The pass of one project does not hold up those behind it. */
export async function passProjects(deps: PassDeps): Promise<void> {
  const { postgres, projects, metrics, log, signal } = deps
  const all = (await listProjects(postgres)).map(({ projectId }) => projectId)
  for (const project of projects.length === 0 ? all : projects) {
    if (signal.aborted) return
    await passProject(deps, project).catch((error: unknown) => {
      if (signal.aborted) return
      metrics.failures.add(1, { task: 'pass' })
      log.warn({ ...errorFields(error), projectId: project }, 'the pass of a project failed and is tried again')
    })
  }
}

async function recount(deps: TaskDeps): Promise<void> {
  const { postgres, conversionTypes, clock } = deps
  const builtIn = builtInMetrics(conversionTypes)
  const definitionsOf = async (project: string): Promise<readonly MetricDefinition[]> => [
    ...builtIn,
    ...(await listDefinitions(postgres, project)).map(({ definition }) => definition)
  ]
  await recountDays({ ...deps, definitionsOf, keptFromMs: await keptFromOf(postgres, clock) })
}
