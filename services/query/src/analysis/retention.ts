// Retention: of the persons who did a first thing in a period, how many did another one in the periods after. A person is
// of the cohort of its first such event within the span, and is back in a period with a later event of the other kind in
// it; period 0 is that of the cohort. Days, weeks and months are those of a time zone. Pure.
import type { QueryAnswer } from '../run-query.ts'
import { createBinding, identities, inSpan, msOfEvent, subjectOf } from './bound.ts'
import type { BoundQuery, Identity } from './bound.ts'
import { readFilters } from './filters.ts'
import { WrongInput, readCount, readJson, readObject, readOneOf, readText } from './input.ts'
import { granularities, periodsFrom } from './periods.ts'
import type { Granularity, Period } from './periods.ts'
import { readSpan } from './span.ts'
import { ofTypes, stepSql } from './steps.ts'
import type { Step } from './steps.ts'

export interface RetentionQuestion {
  readonly first: Step
  readonly returning: Step
  readonly granularity: Granularity
  readonly zone: string
  readonly identity: Identity
  /** How many periods of each cohort are told. */
  readonly periods: number
  readonly cohorts: number
  /** Of the cohorts and what is told of the last one, and the one after. */
  readonly starts: readonly Period[]
}

const members = [
  'startTime',
  'endTime',
  'timezone',
  'firstEvent',
  'firstFilters',
  'returningEvent',
  'returningFilters',
  'granularity',
  'periods',
  'identity'
]
const mostCohorts = 90
const mostPeriods = 90
const usualDays: Readonly<Record<Granularity, number>> = { day: 7, week: 56, month: 180 }

/** Reads the query string of `GET /v1/retention`. Throws WrongInput. */
export function readRetention(query: unknown, nowMs: number): RetentionQuestion {
  const read = readObject(query, '', members)
  const granularity = readOneOf(read['granularity'], '/granularity', granularities)
  const { fromMs, toMs, zone } = readSpan(read, nowMs, usualDays[granularity])
  const periods = readCount(read['periods'], '/periods', 8, mostPeriods)
  const eventOf = (name: 'first' | 'returning'): Step => ({
    eventType: readText(read[`${name}Event`], `/${name}Event`),
    filters: readFilters(readJson(read[`${name}Filters`], `/${name}Filters`), `/${name}Filters`)
  })
  const next = periodsFrom(zone, granularity, fromMs)
  const starts: Period[] = []
  do starts.push(next.next().value)
  while ((starts.at(-1)?.startMs ?? 0) < toMs && starts.length <= mostCohorts)
  const cohorts = starts.length - 1
  if ((starts.at(-1)?.startMs ?? 0) < toMs) throw new WrongInput('/startTime', `makes more than ${mostCohorts} cohorts`)
  while (starts.length < cohorts + periods) starts.push(next.next().value)
  return {
    first: eventOf('first'),
    returning: eventOf('returning'),
    granularity,
    zone,
    identity: readOneOf(read['identity'], '/identity', identities),
    periods,
    cohorts,
    starts
  }
}

/** Until when events matter. */
export function retentionUntilMs({ starts }: RetentionQuestion): number {
  return starts.at(-1)?.startMs ?? 0
}

/** Rows `[cohort, period, persons]`: by numbers from 0; period -1 counts the cohort itself. */
export function retentionQuery(question: RetentionQuestion): BoundQuery {
  const { first, returning, identity, periods, cohorts, starts } = question
  const { bind, params } = createBinding()
  const bounds = bind(
    starts.map(({ startMs }) => startMs),
    'Array(Int64)'
  )
  const cohortsEndMs = starts[cohorts]?.startMs ?? 0
  const isFirst = `${stepSql(first, bind)} AND ${msOfEvent} < ${bind(cohortsEndMs, 'Int64')}`
  const isReturn = stepSql(returning, bind)
  const span = inSpan({ fromMs: starts[0]?.startMs ?? 0, toMs: retentionUntilMs(question) }, bind)
  const sql = `SELECT cohort, arrayJoin(periods) AS period, count() AS persons FROM (
    SELECT indexOf(${bounds}, began.2) - 1 AS cohort, began.1 AS firstMs,
      arrayPushFront(arrayFilter(n -> n < ${periods}, arrayMap(back -> indexOf(${bounds}, back.1) - 1 - cohort,
        arrayFilter(back -> back.2 > firstMs, returns))), -1) AS periods
    FROM (
      SELECT minIf((firstMs, start), firsts > 0) AS began, groupArrayIf((start, lastMs), backs > 0) AS returns FROM (
        SELECT ${subjectOf(identity)} AS person, roundDown(${msOfEvent}, ${bounds}) AS start,
          minIf(${msOfEvent}, ${isFirst}) AS firstMs, countIf(${isFirst}) AS firsts,
          maxIf(${msOfEvent}, ${isReturn}) AS lastMs, countIf(${isReturn}) AS backs
        FROM events WHERE ${span} AND ${ofTypes([first, returning], bind)} AND person != ''
        GROUP BY person, start
      ) GROUP BY person HAVING sum(firsts) > 0
    )
  ) GROUP BY cohort, period`
  return { sql, params }
}

/** The reply; `returned` has null for periods that have not begun at `nowMs`. */
export function toRetention(
  { first, returning, granularity, zone, identity, periods, cohorts, starts }: RetentionQuestion,
  { rows }: Pick<QueryAnswer, 'rows'>,
  nowMs: number
): object {
  const counts = new Map(
    rows.map(([cohort, period, persons]) => [`${String(cohort)} ${String(period)}`, Number(persons)])
  )
  const told = starts.slice(0, cohorts).map(({ date }, cohort) => ({
    date,
    size: counts.get(`${cohort} -1`) ?? 0,
    returned: Array.from({ length: periods }, (_, period) => {
      const begins = starts[cohort + period]?.startMs ?? Number.POSITIVE_INFINITY
      return begins <= nowMs ? (counts.get(`${cohort} ${period}`) ?? 0) : null
    })
  }))
  const events = { firstEvent: first.eventType, returningEvent: returning.eventType }
  return { ...events, granularity, timezone: zone, identity, cohorts: told }
}
