// A funnel: how many persons did one thing after the other within a time of the first.
//
//   ordered  each step is a later event of the person than the one before; other events may lie in between
//   strict   each step is the very next event of the person after the one before, of all its events
//
// An event counts for one step only. A person enters with an event of the first step within the span, and has the whole
// window from it; of several tries the farthest counts. Of events in the same millisecond any may be the later one, in
// strict order the one that the log has later. Pure.
import type { QueryAnswer } from '../run-query.ts'
import { createBinding, identities, inSpan, msOfEvent, subjectOf } from './bound.ts'
import type { BoundQuery, Identity } from './bound.ts'
import { readProperty, valueSql } from './filters.ts'
import { WrongInput, readCount, readList, readObject, readOneOf, readText } from './input.ts'
import { onceLevel } from './once-level.ts'
import { dayMs, iso, readSpan } from './span.ts'
import type { Span } from './span.ts'
import { ofTypes, readStep, stepSql } from './steps.ts'
import type { Step } from './steps.ts'

export interface FunnelQuestion {
  readonly span: Span
  readonly steps: readonly Step[]
  /** As it was given: `14d`. */
  readonly conversionWindow: string
  readonly windowMs: number
  readonly order: 'ordered' | 'strict'
  readonly identity: Identity
  /** Persons apart by the value of this property at their first event of the first step within the span. */
  readonly breakdown: Breakdown | undefined
}

interface Breakdown {
  readonly property: string
  readonly limit: number
}

const members = ['startTime', 'endTime', 'timezone', 'steps', 'conversionWindow', 'order', 'identity', 'breakdown']
export const mostSteps = 10
const mostGroups = 50
const mostWindowMs = 90 * dayMs

/** Reads the body of `POST /v1/funnels`. Throws WrongInput. */
export function readFunnel(body: unknown, nowMs: number): FunnelQuestion {
  const read = readObject(body, '', members)
  const { breakdown, conversionWindow = '14d' } = read
  return {
    span: readSpan(read, nowMs, 30),
    steps: readList(read['steps'] ?? [], '/steps', [2, mostSteps], readStep),
    conversionWindow: readText(conversionWindow, '/conversionWindow'),
    windowMs: readWindow(conversionWindow),
    order: readOneOf(read['order'], '/order', ['ordered', 'strict']),
    identity: readOneOf(read['identity'], '/identity', identities),
    breakdown: breakdown === undefined ? undefined : readBreakdown(breakdown)
  }
}

function readBreakdown(value: unknown): Breakdown {
  const { property, limit } = readObject(value, '/breakdown', ['property', 'limit'])
  return {
    property: readProperty(property, '/breakdown/property'),
    limit: readCount(limit, '/breakdown/limit', 10, mostGroups)
  }
}

function readWindow(value: unknown): number {
  const [, count, unit = ''] = /^([1-9]\d{0,5})([smhd])$/.exec(String(value)) ?? []
  const windowMs = Number(count) * ({ s: 1_000, m: 60_000, h: 3_600_000, d: dayMs }[unit] ?? Number.NaN)
  if (windowMs <= mostWindowMs) return windowMs
  throw new WrongInput('/conversionWindow', 'must be a time of at most 90 days, such as 30m, 24h or 14d')
}

/** Until when events matter: who enters last has the whole window, too. */
export function funnelUntilMs({ span, windowMs }: FunnelQuestion): number {
  return span.toMs + windowMs
}

/**
 * Rows `[value, reached, total, groups]`: persons that reached each step, of the groups with most of them, of all groups,
 * and how many groups there are. Without a breakdown there is one group at most.
 */
export function funnelQuery(question: FunnelQuestion): BoundQuery {
  const { span, steps, order, identity, breakdown } = question
  const { bind, params } = createBinding()
  const enters = `${stepSql(steps[0] as Step, bind)} AND timestamp < fromUnixTimestamp64Milli(${bind(span.toMs, 'Int64')})`
  const conditions = [enters, ...steps.slice(1).map((step) => stepSql(step, bind))]
  const events = [
    inSpan({ fromMs: span.fromMs, toMs: funnelUntilMs(question) }, bind),
    // In strict order an event of any other type breaks the chain.
    ...(order === 'ordered' ? [ofTypes(steps, bind)] : []),
    `${subjectOf(identity)} != ''`
  ]
  const value =
    breakdown === undefined
      ? `''`
      : `argMinIf(${valueSql(breakdown.property, bind)}, (timestamp, partition, offset, eventId), ${enters})`
  const level = order === 'ordered' ? orderedLevel(question, conditions) : strictLevel(question, conditions)
  const sql = `SELECT value, reached, sumForEach(reached) OVER () AS total, count() OVER () AS groups FROM (
    SELECT value, sumForEach(arrayMap(step -> toUInt64(level >= step), range(1, ${steps.length + 1}))) AS reached FROM (
      SELECT ${value} AS value, ${level} AS level FROM events WHERE ${events.join(' AND ')}
      GROUP BY ${subjectOf(identity)}
    ) WHERE level > 0 GROUP BY value
  ) ORDER BY reached[1] DESC, value LIMIT ${breakdown?.limit ?? 1}`
  return { sql, params }
}

/** https://clickhouse.com/docs/sql-reference/aggregate-functions/parametric-functions#windowfunnel */
function orderedLevel({ windowMs, steps }: FunnelQuestion, conditions: readonly string[]): string {
  // An event meets conditions of several steps only if they are of the same type; then it must count once.
  const isOnce = new Set(steps.map(({ eventType }) => eventType)).size < steps.length
  // The mode `strict_once` keeps every chain that there can be.
  if (isOnce) return onceLevel(steps, windowMs, conditions)
  return `windowFunnel(${windowMs})(toUInt64(${msOfEvent}), ${conditions.join(', ')})`
}

/** Steps whose conditions the events of a run meet one after the other; the longest of all runs. */
function strictLevel({ windowMs }: FunnelQuestion, conditions: readonly string[]): string {
  const meets = conditions.map((condition, index) => `toUInt16(${condition}) * ${2 ** index}`).join(' + ')
  const sorted = `arraySort(groupArray((${msOfEvent}, partition, offset, eventId, ${meets})))`
  const runOf = (length: number): string => {
    const steps = Array.from({ length }, (_, step) => `bitTest(met[i + ${step}], ${step})`)
    const inTime = `times[i + ${length - 1}] - times[i] <= ${windowMs}`
    return `arrayExists(i -> i + ${length - 1} <= length(met) AND ${inTime} AND ${steps.join(' AND ')}, arrayEnumerate(met))`
  }
  const runs = conditions.map((_, index) => runOf(index + 1)).join(' + ')
  return `arrayMap((times, met) -> ${runs}, [${sorted}.1], [${sorted}.5])[1]`
}

interface ShownStep {
  readonly eventType: string
  readonly count: number
  /** Share of those who entered; null when nobody did. */
  readonly conversion: number | null
  /** Share of those who reached the step before. */
  readonly stepConversion: number | null
}

/** The reply. */
export function toFunnel(question: FunnelQuestion, { rows }: Pick<QueryAnswer, 'rows'>): object {
  const { span, steps, order, conversionWindow, identity, breakdown } = question
  const groups = rows.map(([value, reached]) => ({ value: String(value), reached: (reached as unknown[]).map(Number) }))
  const total = rows[0] === undefined ? steps.map(() => 0) : (rows[0][2] as unknown[]).map(Number)
  const shown = {
    startTime: iso(span.fromMs),
    endTime: iso(span.toMs),
    order,
    conversionWindow,
    identity,
    ...toShown(steps, total)
  }
  if (breakdown === undefined) return shown
  const rest = groups.reduce((left, { reached }) => left.map((count, step) => count - (reached[step] ?? 0)), total)
  return {
    ...shown,
    breakdown: {
      property: breakdown.property,
      values: groups.map(({ value, reached }) => ({ value, ...toShown(steps, reached) })),
      otherValues: Number(rows[0]?.[3] ?? 0) - groups.length,
      other: toShown(steps, rest)
    }
  }
}

function toShown(
  steps: readonly Step[],
  reached: readonly number[]
): { readonly steps: readonly ShownStep[]; readonly conversion: number | null } {
  const entered = reached[0] ?? 0
  const share = (count: number, of: number): number | null => (of === 0 ? null : count / of)
  const shown = steps.map(({ eventType }, index) => {
    const count = reached[index] ?? 0
    const before = index === 0 ? entered : (reached[index - 1] ?? 0)
    return { eventType, count, conversion: share(count, entered), stepConversion: share(count, before) }
  })
  return { steps: shown, conversion: shown.at(-1)?.conversion ?? null }
}
