// Which days the retention ever cut, in PostgreSQL: when it is raised or taken away later, the events of those days stay
// gone, and a count of them would overwrite what was right.
import type { Clock } from '@millrace/kernel'
import type { Queryable, Row } from '@millrace/stores/postgres'
import { keptFrom, readRetention } from './retention.ts'
import type { Retention } from './retention.ts'

/** Notes what `retention` cuts at `nowMs`. A note never goes back. Throws PIPE_POSTGRES_UNAVAILABLE. */
export async function noteCuts(postgres: Queryable, retention: Retention, nowMs: number): Promise<void> {
  if (retention.size === 0) return
  const projects = [...retention.keys()]
  const dates = projects.map((project) => new Date(keptFrom(retention, project, nowMs)).toISOString().slice(0, 10))
  await postgres.query(
    `INSERT INTO warehouse_cuts AS held (project_id, kept_from) SELECT * FROM unnest($1::text[], $2::date[])
     ON CONFLICT (project_id) DO UPDATE SET kept_from = EXCLUDED.kept_from WHERE held.kept_from < EXCLUDED.kept_from`,
    [projects, dates]
  )
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
