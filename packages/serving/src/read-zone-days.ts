// A metric by the days of a time zone. Where those are made of whole hours, counts, sums and rates add up from hours, live
// ones too; distinct members, and days that begin within an hour, are counted by the warehouse, a question for each day.
import { kindOfMetric, sessionMetrics } from '@millrace/aggregation/metric-messages'
import { derivedMetrics, valueScale } from '@millrace/aggregation/metrics'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import type { MetricKind } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import { windowLengths } from './metric-answer.ts'
import type { MetricAnswer, MetricPoint, MetricQuestion } from './metric-answer.ts'
import { readMetric, requireDimensions, settleMs } from './read-metric.ts'
import type { MetricReaderDeps } from './read-metric.ts'
import { metricQuery, sessionQuery } from './warehouse-query.ts'
import { daysOfZone } from './zone-days.ts'
import type { Day } from './zone-days.ts'

const hourMs = windowLengths['1h']
const dayMs = windowLengths['1d']
/** Of one answer; each may take a question to the warehouse. */
const maxDays = 400
const atOnce = 2

/**
 * Reads the days of `zone` that touch the span of `question`, whose granularity is 1d. Throws as `readMetric`, and
 * RangeError for an unknown zone.
 */
export async function readZoneDays(
  deps: MetricReaderDeps,
  question: MetricQuestion,
  zone: string
): Promise<MetricAnswer> {
  const { metric, dimension } = question
  const name = derivedMetrics.get(metric)?.of ?? metric
  const isSession = sessionMetrics.includes(name)
  const versions = isSession ? [] : (await deps.definitionsOf(question.project)).filter((each) => each.name === name)
  const latest = versions.at(-1)
  if (latest === undefined && !isSession)
    throw new AppError('PIPE_NOT_FOUND', `'${question.project}' has no metric '${metric}'`)
  requireDimensions(metric, latest, dimension)
  const toMs = Math.min(question.toMs, deps.clock.now() + 1)
  requireFewDays(question.fromMs, toMs)
  const days = daysOfZone(zone, question.fromMs, toMs)
  if (days.length > maxDays) throw new AppError('PIPE_INVALID_INPUT', `${days.length} days; at most ${maxDays} at once`)
  const kind = kindOfMetric(latest)
  const isOfHours = days.every(({ startMs, endMs }) => startMs % hourMs === 0 && endMs % hourMs === 0)
  const hasHours = versions.every(({ granularities }) => granularities.includes('1h'))
  const shown = { metric, granularity: '1d' as const, ...(dimension === undefined ? {} : { dimension }) }
  const [first, last] = [days[0], days.at(-1)]
  if (first === undefined || last === undefined) return { ...shown, data: [], source: 'warehouse' }
  if (kind !== 'unique' && isOfHours && hasHours) {
    const span = { fromMs: first.startMs, toMs: last.endMs }
    const { data, source } = await readMetric(deps, { ...question, metric: name, granularity: '1h', ...span })
    return { ...shown, data: days.map((day) => ofHours(kind, day, data, deps.clock.now())), source }
  }
  const data: MetricPoint[] = []
  for (let next = 0; next < days.length; next += atOnce) {
    const some = days.slice(next, next + atOnce)
    data.push(...(await Promise.all(some.map((day) => counted(deps, { ...question, metric: name }, versions, day)))))
  }
  return { ...shown, data, source: 'warehouse' }
}

/** Before days are listed, one by one. Throws PIPE_INVALID_INPUT. */
function requireFewDays(fromMs: number, toMs: number): void {
  if (fromMs < -dayMs) throw new AppError('PIPE_INVALID_INPUT', 'days of a zone are told from 1970 on')
  const days = Math.ceil((toMs - fromMs) / dayMs)
  // A span of as many days may touch one more, and days on which clocks change are shorter.
  if (days > maxDays + 2) throw new AppError('PIPE_INVALID_INPUT', `${days} days; at most ${maxDays} at once`)
}

/** A day put together from its hours; not known when one of them is not. */
function ofHours(kind: MetricKind, { startMs, endMs }: Day, data: readonly MetricPoint[], nowMs: number): MetricPoint {
  const hours = data.filter(({ timestampMs }) => timestampMs >= startMs && timestampMs < endMs)
  const state = {
    timestampMs: startMs,
    provisional: endMs > nowMs || hours.some(({ provisional }) => provisional),
    complete: endMs <= nowMs && hours.every(({ complete }) => complete)
  }
  if (hours.length === 0 || hours.some(({ count }) => count === null)) return { ...state, value: null, count: null }
  const sum = (of: (hour: MetricPoint) => number | null | undefined): number =>
    hours.reduce((total, hour) => total + (of(hour) ?? 0), 0)
  const count = sum((hour) => hour.count)
  if (kind === 'ratio') {
    const [numerator, denominator] = [sum((hour) => hour.numerator), sum((hour) => hour.denominator)]
    return { ...state, value: denominator === 0 ? null : numerator / denominator, count, numerator, denominator }
  }
  if (kind !== 'min' && kind !== 'max') return { ...state, value: sum(({ value }) => value), count }
  const values = hours.flatMap(({ value }) => value ?? [])
  return { ...state, value: values.length === 0 ? null : Math[kind](...values), count }
}

/** One window of this length holds every time there is. */
const oneWindowMs = 2 ** 52

/** A day as the warehouse counts it, by the version of the metric that was in force when it began. */
async function counted(
  { clickhouse, clock, conversionTypes, latenessMs, rowsAgeMs }: MetricReaderDeps,
  { project, metric, dimension }: MetricQuestion,
  versions: readonly MetricDefinition[],
  { startMs, endMs }: Day
): Promise<MetricPoint> {
  const version = versions.findLast(({ effectiveFromMs }) => effectiveFromMs <= startMs) ?? versions[0]
  const kind = kindOfMetric(version)
  const span = { project, fromMs: startMs, toMs: endMs, lengthMs: oneWindowMs }
  const { sql, params } =
    version === undefined ? sessionQuery(metric, span, conversionTypes) : metricQuery(version, span, dimension)
  const [row] = await clickhouse.rows<{ count: string; value: string }>(sql, params)
  const asOfMs = clock.now() - (rowsAgeMs?.() ?? 0)
  const provisional = endMs + settleMs({ kind, latenessMs }) > asOfMs
  const state = { timestampMs: startMs, provisional, complete: endMs <= asOfMs }
  const count = Number(row?.count ?? 0)
  const plain = Number(row?.value ?? 0)
  switch (kind) {
    case 'ratio':
      return { ...state, value: count === 0 ? null : plain / count, count, numerator: plain, denominator: count }
    case 'unique':
      return {
        ...state,
        value: plain,
        count,
        ...(version?.measure.kind === 'unique' && version.measure.of === 'user' ? { uniqueUsers: plain } : {})
      }
    case 'count':
      return { ...state, value: plain, count }
    case 'sum':
      return { ...state, value: plain / valueScale, count }
    case 'min':
    case 'max':
      return { ...state, value: row === undefined ? null : plain / valueScale, count }
  }
}
