// What the comparison of log and sinks found last, project by project, in PostgreSQL: whoever asks gets the same answer, also
// from a process that has just begun.
import type { Queryable, Row } from '@millrace/stores/postgres'
import type { Reconciliation } from './reconcile.ts'

/** A project that could not be compared. */
export interface FailedReconciliation {
  readonly projectId: string
  readonly reason: string
}

export interface ReconciledProjects {
  readonly endedMs: number
  readonly projects: readonly Reconciliation[]
  /** What was found of them before stays. */
  readonly failed: readonly FailedReconciliation[]
}

/** Keeps what was found; projects that are neither compared nor failed are gone. Throws PIPE_POSTGRES_UNAVAILABLE. */
export async function saveReconciliations(
  postgres: Queryable,
  { endedMs, projects, failed }: ReconciledProjects
): Promise<void> {
  const rows = [
    ...projects.map((found) => ({ project_id: found.projectId, found })),
    ...failed.map(({ projectId, reason }) => ({ project_id: projectId, failure: reason }))
  ]
  const text = JSON.stringify(rows, (_key, each: unknown) => toStored(each))
  await postgres.query(
    `WITH made AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS made(project_id text, found jsonb, failure text)),
       gone AS (DELETE FROM reconciliations WHERE project_id NOT IN (SELECT project_id FROM made))
     INSERT INTO reconciliations AS known (project_id, compared_at, found, failed_at, failure)
     SELECT project_id, CASE WHEN failure IS NULL THEN at END, found, CASE WHEN failure IS NOT NULL THEN at END, failure
     FROM made, to_timestamp($2::float8 / 1000) AS at
     ON CONFLICT (project_id) DO UPDATE SET compared_at = coalesce(EXCLUDED.compared_at, known.compared_at),
       found = coalesce(EXCLUDED.found, known.found), failed_at = EXCLUDED.failed_at, failure = EXCLUDED.failure`,
    [text, endedMs]
  )
}

/** An id of a client may hold NUL or half a character, which jsonb refuses. */
function toStored(each: unknown): unknown {
  if (typeof each === 'bigint') return String(each)
  return typeof each === 'string' ? each.replaceAll('\u0000', '\uFFFD').toWellFormed() : each
}

/** What was kept, as it is answered: bigints are text, times ISO 8601, ages of this moment. */
export interface LastReconciliations {
  /** When the youngest of them was made; null: there is none. */
  readonly endedAt: string | null
  readonly ageSeconds: number | null
  readonly projects: readonly (Readonly<Record<string, unknown>> & {
    readonly comparedAt: string
    readonly ageSeconds: number
  })[]
  /** Projects that could not be compared the last time. */
  readonly failed: readonly (FailedReconciliation & { readonly at: string })[]
}

interface ReconciliationRow extends Row {
  readonly project_id: string
  readonly compared_at: Date | null
  readonly found: Readonly<Record<string, unknown>> | null
  readonly failed_at: Date | null
  readonly failure: string | null
}

/** The last result of every project. Throws PIPE_POSTGRES_UNAVAILABLE. */
export async function lastReconciliations(postgres: Queryable, nowMs: number): Promise<LastReconciliations> {
  const rows = await postgres.query<ReconciliationRow>(
    'SELECT project_id, compared_at, found, failed_at, failure FROM reconciliations ORDER BY project_id'
  )
  const times = rows.flatMap(({ compared_at, failed_at }) => [compared_at ?? [], failed_at ?? []].flat())
  const newestMs = times.length === 0 ? undefined : Math.max(...times.map((time) => time.getTime()))
  const age = (atMs: number): number => Math.max(0, Math.round((nowMs - atMs) / 1_000))
  return {
    endedAt: newestMs === undefined ? null : new Date(newestMs).toISOString(),
    ageSeconds: newestMs === undefined ? null : age(newestMs),
    projects: rows.flatMap(({ found, compared_at: at }) =>
      found === null || at === null ? [] : [{ ...found, comparedAt: at.toISOString(), ageSeconds: age(at.getTime()) }]
    ),
    failed: rows.flatMap(({ project_id, failure, failed_at: at }) =>
      failure === null || at === null ? [] : [{ projectId: project_id, reason: failure, at: at.toISOString() }]
    )
  }
}
