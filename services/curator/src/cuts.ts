// Which days the retention ever cut, in PostgreSQL: when it is raised or taken away later, the events of those days stay
// gone, and a count of them would overwrite what was right.
import { keptFrom } from '@millrace/operations/warehouse-retention'
import type { Retention } from '@millrace/operations/warehouse-retention'
import type { Queryable } from '@millrace/stores/postgres'

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
