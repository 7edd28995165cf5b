// How long the warehouse keeps the events of each project, and since when it has all of them: what is older may be gone.
import { isProjectId, parseProjectSettings } from '@millrace/contracts'
import type { Clock } from '@millrace/kernel'
import type { Queryable, Row } from '@millrace/stores/postgres'

/** Days of retention by project; a project that is not in it keeps everything. */
export type Retention = ReadonlyMap<string, number>

const dayLengthMs = 86_400_000

/** What the projects have set. Throws PIPE_POSTGRES_UNAVAILABLE. */
export async function readRetention(postgres: Queryable): Promise<Retention> {
  const rows = await postgres.query<{ id: string; settings: unknown }>('SELECT id, settings FROM projects ORDER BY id')
  const kept = new Map<string, number>()
  for (const { id, settings } of rows) {
    const days = parseProjectSettings(settings).settings.warehouseRetentionDays
    if (days !== undefined && isProjectId(id)) kept.set(id, days)
  }
  return kept
}

/** Start of the first day that is kept whole, ms; -Infinity when everything is. */
export function keptFrom(retention: Retention, projectId: string, nowMs: number): number {
  const days = retention.get(projectId)
  return days === undefined ? Number.NEGATIVE_INFINITY : (Math.floor(nowMs / dayLengthMs) - days + 1) * dayLengthMs
}

/** Start of the first day of a project that was never cut, ms; -Infinity when all are whole. Throws PIPE_POSTGRES_UNAVAILABLE. */
export async function keptFromOf(postgres: Queryable, clock: Clock): Promise<(project: string) => number> {
  const retention = await readRetention(postgres)
  const rows = await postgres.query<CutRow>(
    'SELECT project_id, (extract(epoch FROM kept_from) * 1000)::bigint AS kept_ms FROM warehouse_cuts'
  )
  const cuts = new Map(rows.map(({ project_id, kept_ms }) => [project_id, Number(kept_ms)]))
  return (project) => Math.max(cuts.get(project) ?? Number.NEGATIVE_INFINITY, keptFrom(retention, project, clock.now()))
}

interface CutRow extends Row {
  readonly project_id: string
  readonly kept_ms: string
}
