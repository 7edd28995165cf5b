// Days of the metrics as rows, and the days that have to be counted again from the warehouse.
import type { Queryable, Row } from '@millrace/stores/postgres'

/** Why the live state does not know a day whole. */
export type RecountReason = 'closed' | 'expired' | 'lost' | 'rebuild' | 'letter' | 'requested' | 'nightly'

/** One metric of one day (UTC), whole or of one dimension. */
export interface DailyMetric {
  readonly projectId: string
  /** Start of the day, ms. */
  readonly dayMs: number
  readonly metric: string
  /** Names of the dimensions and their values as JSON lists; both empty: the whole day. */
  readonly dimensionKey: string
  readonly dimensionValue: string
  /** Of a ratio the numerator. */
  readonly value: number
  readonly denominator?: number
  readonly count: number
  readonly capped: boolean
  /** Orders live values: the epoch, then the revision inside it. Of the warehouse [0, 0]. */
  readonly revision: readonly [epoch: number, revision: number]
  readonly source: 'live' | 'warehouse'
}

/**
 * Writes days, each value once. A live value gives way to a newer live one or to the warehouse, one of the warehouse to
 * the warehouse alone. May be repeated. Throws PIPE_POSTGRES_UNAVAILABLE.
 */
export async function writeDays(postgres: Queryable, days: readonly DailyMetric[]): Promise<void> {
  if (days.length === 0) return
  await postgres.query(
    `INSERT INTO daily_metrics AS held (project_id, date, metric_name, dimension_key, dimension_value, value, denominator,
       count, capped, epoch, revision, source)
     SELECT * FROM jsonb_to_recordset($1::jsonb) AS made(project_id text, date date, metric_name text, dimension_key text,
       dimension_value text, value float8, denominator float8, count bigint, capped boolean, epoch integer, revision bigint,
       source text)
     ON CONFLICT (project_id, metric_name, date, dimension_key, dimension_value) DO UPDATE SET
       value = EXCLUDED.value, denominator = EXCLUDED.denominator, count = EXCLUDED.count, capped = EXCLUDED.capped,
       epoch = EXCLUDED.epoch, revision = EXCLUDED.revision, source = EXCLUDED.source, updated_at = now()
     WHERE EXCLUDED.source = 'warehouse'
       OR (held.source = 'live' AND (held.epoch, held.revision) < (EXCLUDED.epoch, EXCLUDED.revision))`,
    [JSON.stringify(days.map(toColumns))]
  )
}

export interface DaysWanted {
  readonly projectId: string
  readonly metric: string
  /** Days that begin in [fromMs, toMs). */
  readonly fromMs: number
  readonly toMs: number
  /** Default: the whole day. */
  readonly dimensionValue?: string
}

interface DayRow extends Row {
  readonly day_ms: string
  readonly dimension_key: string
  readonly dimension_value: string
  readonly value: number
  readonly denominator: number | null
  readonly count: string
  readonly capped: boolean
  readonly epoch: number
  readonly revision: string
  readonly source: 'live' | 'warehouse'
}

/** The days of a metric that are there, by date; days that wait for a recount are left out. */
export async function readDays(postgres: Queryable, wanted: DaysWanted): Promise<readonly DailyMetric[]> {
  const { projectId, metric, fromMs, toMs, dimensionValue = '' } = wanted
  const rows = await postgres.query<DayRow>(
    `SELECT (extract(epoch FROM date) * 1000)::bigint AS day_ms, dimension_key, dimension_value, value, denominator, count,
       capped, epoch, revision, source
     FROM daily_metrics WHERE project_id = $1 AND metric_name = $2 AND date >= $3::date AND date < $4::date
       AND dimension_value = $5 AND NOT EXISTS (
         SELECT FROM recount_days WHERE recount_days.project_id = daily_metrics.project_id AND day = date
       )
     ORDER BY date, dimension_key`,
    [projectId, metric, dateOf(fromMs), dateOf(toMs), dimensionValue]
  )
  return rows.map((row) => ({
    projectId,
    metric,
    dayMs: Number(row.day_ms),
    dimensionKey: row.dimension_key,
    dimensionValue: row.dimension_value,
    value: row.value,
    ...(row.denominator === null ? {} : { denominator: row.denominator }),
    count: Number(row.count),
    capped: row.capped,
    revision: [row.epoch, Number(row.revision)],
    source: row.source
  }))
}

/** Queues days (start, ms) to be counted from the warehouse; one that waits already, or is being counted, is counted anew. */
export async function queueRecount(
  postgres: Queryable,
  projectId: string,
  days: readonly number[],
  reason: RecountReason
): Promise<void> {
  if (days.length === 0) return
  await postgres.query(
    `INSERT INTO recount_days (project_id, day, reason) SELECT $1, day, $3 FROM unnest($2::date[]) AS day
     ${askAgain}`,
    [projectId, [...new Set(days.map(dateOf))], reason]
  )
}

/** A count that is under way does not end a request that came after it began; the day keeps its place in the queue. */
const askAgain = `ON CONFLICT (project_id, day) DO UPDATE SET mark = nextval('recount_marks'), asked_at = now()`

/** Queues every day before `beforeMs` that has a live value only: an epoch that was replaced made it. */
export async function queueLiveDays(postgres: Queryable, projectId: string, beforeMs: number): Promise<void> {
  await postgres.query(
    `INSERT INTO recount_days (project_id, day, reason)
     SELECT DISTINCT project_id, date, 'rebuild' FROM daily_metrics
     WHERE project_id = $1 AND source = 'live' AND date < $2::date
     ${askAgain}`,
    [projectId, dateOf(beforeMs)]
  )
}

function toColumns(day: DailyMetric): Row {
  const { projectId, dayMs, metric, dimensionKey, dimensionValue, value, denominator, count, capped, source } = day
  return {
    project_id: projectId,
    date: dateOf(dayMs),
    metric_name: metric,
    dimension_key: dimensionKey,
    dimension_value: dimensionValue,
    value,
    denominator: denominator ?? null,
    count,
    capped,
    epoch: day.revision[0],
    revision: day.revision[1],
    source
  }
}

/** `2026-01-31` of the day in which `atMs` lies; with the UTC day of a time. */
function dateOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10)
}
