// The days that wait to be counted from the warehouse, and what a count writes. A count may be made twice at once, and a
// day may be asked for again while it is counted: the number of the request decides, inside the transaction that writes,
// so an older count never ends a newer request and never replaces a newer count.
import type { Postgres, Queryable, Row } from '@millrace/stores/postgres'
import { writeDays } from './daily-metrics.ts'
import type { DailyMetric, RecountReason } from './daily-metrics.ts'

/** A day that waits. */
export interface WaitingDay {
  readonly projectId: string
  /** Start of the day, ms. */
  readonly dayMs: number
  readonly reason: RecountReason
  /** Number of the last request for it. */
  readonly mark: string
  /** When it was last asked for, ms, by the clock of PostgreSQL. */
  readonly askedAtMs: number
}

interface WaitingRow extends Row {
  readonly project_id: string
  readonly day_ms: string
  readonly reason: RecountReason
  readonly mark: string
  readonly asked_ms: string
}

export interface WaitingWanted {
  /** None named: all. */
  readonly projects: readonly string[]
  /** Days of each project at most. */
  readonly perProject: number
  /** Only days that ended by then, ms. */
  readonly endedBeforeMs: number
}

/**
 * Days that wait and are not postponed: the first of each project, then the second of each, those that wait longest first.
 * Throws PIPE_POSTGRES_UNAVAILABLE.
 */
export async function waitingDays(
  postgres: Queryable,
  { projects, perProject, endedBeforeMs }: WaitingWanted
): Promise<readonly WaitingDay[]> {
  const rows = await postgres.query<WaitingRow>(
    `SELECT project_id, (extract(epoch FROM day) * 1000)::bigint AS day_ms, reason, mark,
       (extract(epoch FROM asked_at) * 1000)::bigint AS asked_ms
     FROM (
       SELECT *, row_number() OVER (PARTITION BY project_id ORDER BY queued_at, day) AS nth FROM recount_days
       WHERE (cardinality($1::text[]) = 0 OR project_id = ANY ($1)) AND queued_at <= now() AND day < $3::date
     ) AS waiting
     WHERE nth <= $2 ORDER BY nth, queued_at, project_id`,
    [projects, perProject, new Date(endedBeforeMs).toISOString().slice(0, 10)]
  )
  return rows.map(({ project_id, day_ms, reason, mark, asked_ms }) => ({
    projectId: project_id,
    dayMs: Number(day_ms),
    reason,
    mark,
    askedAtMs: Number(asked_ms)
  }))
}

/** What is written of a day in any source, its total and its dimensions. */
export async function heldDay(postgres: Queryable, projectId: string, dayMs: number): Promise<readonly HeldValue[]> {
  const rows = await postgres.query<HeldRow>(
    `SELECT metric_name, dimension_value, value, denominator, capped, source FROM daily_metrics
     WHERE project_id = $1 AND date = $2::date`,
    [projectId, new Date(dayMs).toISOString().slice(0, 10)]
  )
  return rows.map(({ metric_name, dimension_value, value, denominator, capped, source }) => ({
    metric: metric_name,
    dimensionValue: dimension_value,
    value,
    ...(denominator === null ? {} : { denominator }),
    capped,
    source
  }))
}

export type HeldValue = Pick<DailyMetric, 'metric' | 'dimensionValue' | 'value' | 'denominator' | 'capped' | 'source'>

interface HeldRow extends Row {
  readonly metric_name: string
  readonly dimension_value: string
  readonly value: number
  readonly denominator: number | null
  readonly capped: boolean
  readonly source: 'live' | 'warehouse'
}

/**
 * Ends the request of `day`: `values` take the place of everything that is written of the day's `metrics`, in one
 * transaction. False, and nothing is written, when the day was asked for again meanwhile or another count ended it.
 * Throws PIPE_POSTGRES_UNAVAILABLE.
 */
export async function finishRecount(
  postgres: Postgres,
  day: WaitingDay,
  counted: { readonly metrics: readonly string[]; readonly values: readonly DailyMetric[] }
): Promise<boolean> {
  const date = new Date(day.dayMs).toISOString().slice(0, 10)
  return await postgres.transaction(async (tx) => {
    const ended = await tx.query(
      'DELETE FROM recount_days WHERE project_id = $1 AND day = $2::date AND mark = $3::bigint RETURNING mark',
      [day.projectId, date, day.mark]
    )
    if (ended.length === 0) return false
    if (counted.metrics.length > 0) {
      await tx.query(
        'DELETE FROM daily_metrics WHERE project_id = $1 AND date = $2::date AND metric_name = ANY ($3::text[])',
        [day.projectId, date, counted.metrics]
      )
    }
    await writeDays(tx, counted.values)
    return true
  })
}

/** Leaves `day` waiting, behind the others and not before `forMs` have passed. Throws PIPE_POSTGRES_UNAVAILABLE. */
export async function postponeRecount(postgres: Queryable, day: WaitingDay, forMs: number): Promise<void> {
  await postgres.query(
    `UPDATE recount_days SET queued_at = now() + $3::float8 * interval '1 millisecond'
     WHERE project_id = $1 AND day = $2::date`,
    [day.projectId, new Date(day.dayMs).toISOString().slice(0, 10), forMs]
  )
}

/** Until when the nightly passes of a project have come, ms; undefined before the first. */
export async function passedUntil(postgres: Queryable, projectId: string): Promise<number | undefined> {
  const [row] = await postgres.query<{ ms: string }>(
    'SELECT (extract(epoch FROM passed_until) * 1000)::bigint AS ms FROM recount_passes WHERE project_id = $1',
    [projectId]
  )
  return row === undefined ? undefined : Number(row.ms)
}

/** Notes that every day touched by an event appended before `untilMs` is queued. It never goes back. */
export async function notePass(postgres: Queryable, projectId: string, untilMs: number): Promise<void> {
  await postgres.query(
    `INSERT INTO recount_passes AS held (project_id, passed_until) VALUES ($1, to_timestamp($2::float8 / 1000))
     ON CONFLICT (project_id) DO UPDATE SET passed_until = EXCLUDED.passed_until, changed_at = now()
     WHERE held.passed_until < EXCLUDED.passed_until`,
    [projectId, untilMs]
  )
}
