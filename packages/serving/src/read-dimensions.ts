// A metric by the values of its dimensions: those that most events have, each over time as it is read alone.
import { kindOfMetric } from '@millrace/aggregation/metric-messages'
import { otherDimension, totalDimension } from '@millrace/aggregation/windows'
import { windowNames } from '@millrace/aggregation/window-reader'
import { granularities } from '@millrace/aggregation/metrics'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import type { MetricKind } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import { windowLengths } from './metric-answer.ts'
import type { MetricAnswer, MetricQuestion } from './metric-answer.ts'
import { readMetric } from './read-metric.ts'
import type { MetricReaderDeps } from './read-metric.ts'
import { dimensionsQuery } from './warehouse-query.ts'

export interface DimensionsAnswer {
  /** What the values are; those of counts and sums add up over windows. */
  readonly kind: MetricKind
  /** Names of the dimensions. */
  readonly dimensions: readonly string[]
  /** All values together. */
  readonly total: MetricAnswer
  /** By number of events, the largest first. */
  readonly values: readonly MetricAnswer[]
}

/** Values that are read at once. */
const atOnce = 4

/**
 * Reads a metric and, apart from each other, its `limit` most frequent values. Throws PIPE_INVALID_INPUT for a metric
 * without dimensions, and as `readMetric`.
 */
export async function readDimensions(
  deps: MetricReaderDeps,
  { dimension: _all, ...question }: MetricQuestion,
  limit: number
): Promise<DimensionsAnswer> {
  const total = await readMetric(deps, question)
  const definitions = await deps.definitionsOf(question.project)
  const latest = definitions.findLast(({ name }) => name === question.metric)
  if (latest === undefined || latest.dimensions.length === 0)
    throw new AppError('PIPE_INVALID_INPUT', `'${question.metric}' has no dimensions`)
  const [live, stored] = await Promise.all([
    liveValues(deps, question),
    total.source === 'live' ? new Map<string, number>() : storedValues(deps, question, latest)
  ])
  // The warehouse knows the whole span, so a value in both is counted by the larger of the two.
  const counts = new Map(live)
  for (const [value, count] of stored) counts.set(value, Math.max(count, counts.get(value) ?? 0))
  const chosen = [...counts].toSorted(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).slice(0, limit)
  const values: MetricAnswer[] = []
  for (let first = 0; first < chosen.length; first += atOnce) {
    const some = chosen.slice(first, first + atOnce)
    const answers = some.map(([value]) => readMetric(deps, { ...question, dimension: textsOf(value) }))
    values.push(...(await Promise.all(answers)))
  }
  return { kind: kindOfMetric(latest), dimensions: latest.dimensions.map(({ name }) => name), total, values }
}

function textsOf(value: string): readonly string[] {
  // oxlint-disable-next-line no-restricted-properties -- written by the fold, or below
  return JSON.parse(value) as readonly string[]
}

/** Events by value in the windows that are held live; empty when Redis is away. */
async function liveValues(
  { windows, clock }: MetricReaderDeps,
  { project, metric, granularity, fromMs, toMs }: MetricQuestion
): Promise<ReadonlyMap<string, number>> {
  const base = granularity === '1d' ? '1h' : granularity
  const { lengthMs, keepMs } = granularities[base]
  const nowMs = clock.now()
  const span = { fromMs: Math.max(fromMs, nowMs - keepMs - lengthMs), toMs: Math.min(toMs, nowMs + 1) }
  const counts = new Map<string, number>()
  try {
    const read = await windows.read(project, windowNames(metric, base, span))
    for (const { values } of read.windows.values()) {
      for (const [value, { count }] of values) {
        if (value === totalDimension || value === otherDimension) continue
        counts.set(value, (counts.get(value) ?? 0) + count)
      }
    }
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'PIPE_REDIS_UNAVAILABLE') throw error
  }
  return counts
}

interface ValueRow {
  readonly dimension: readonly string[]
  readonly count: string
}

/** Events by value in the warehouse; empty when it is away. */
async function storedValues(
  { clickhouse }: MetricReaderDeps,
  { project, granularity, fromMs, toMs }: MetricQuestion,
  metric: MetricDefinition
): Promise<ReadonlyMap<string, number>> {
  const { sql, params } = dimensionsQuery(metric, { project, fromMs, toMs, lengthMs: windowLengths[granularity] })
  try {
    const rows = await clickhouse.rows<ValueRow>(sql, params)
    return new Map(rows.map(({ dimension, count }) => [JSON.stringify(dimension), Number(count)]))
  } catch (error) {
    if (error instanceof AppError && error.code === 'PIPE_CLICKHOUSE_UNAVAILABLE') return new Map()
    throw error
  }
}
