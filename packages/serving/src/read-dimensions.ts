// A metric by the values of its dimensions: those that most events have, each over time as it is read alone.
import { kindOfMetric } from '@millrace/aggregation/metric-messages'
import { otherDimension, totalDimension } from '@millrace/aggregation/windows'
import { windowNames } from '@millrace/aggregation/window-reader'
import type { WindowsRead } from '@millrace/aggregation/window-reader'
import { granularities } from '@millrace/aggregation/metrics'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import type { MetricKind } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import { windowLengths } from './metric-answer.ts'
import type { MetricAnswer, MetricQuestion } from './metric-answer.ts'
import { readMetric } from './read-metric.ts'
import type { MetricReaderDeps, StoredRow } from './read-metric.ts'
import { dimensionsQuery, valuesQueries } from './warehouse-query.ts'
import type { Span } from './warehouse-query.ts'

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

/** Values that are put together at once. */
const atOnce = 4
/** Windows of all values together. */
const maxPoints = 10_000

/**
 * Reads a metric and, apart from each other, its `limit` most frequent values, in the windows that are counted by the
 * dimensions that hold at the end of the span. Throws PIPE_INVALID_INPUT for a metric without dimensions and for too many
 * windows, and as `readMetric`.
 */
export async function readDimensions(
  deps: MetricReaderDeps,
  { dimension: _all, ...question }: MetricQuestion,
  limit: number
): Promise<DimensionsAnswer> {
  const total = await readMetric(deps, question)
  const versions = await versionsOf(deps, question)
  const latest = versions.at(-1)
  if (latest === undefined || latest.dimensions.length === 0)
    throw new AppError('PIPE_INVALID_INPUT', `'${question.metric}' has no dimensions`)
  const asked = { ...question, fromMs: splitFrom(versions, question) }
  const [live, stored] = await Promise.all([
    liveValues(deps, asked),
    total.source === 'live' ? new Map<string, number>() : storedValues(deps, asked, latest)
  ])
  // The warehouse knows the whole span, so a value in both is counted by the larger of the two.
  const counts = new Map(live)
  for (const [value, count] of stored) counts.set(value, Math.max(count, counts.get(value) ?? 0))
  const chosen = [...counts]
    .toSorted(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .slice(0, limit)
    .map(([value]) => value)
  if (chosen.length * total.data.length > maxPoints) {
    const message = `${chosen.length} values over ${total.data.length} windows; at most ${maxPoints} together`
    throw new AppError('PIPE_INVALID_INPUT', message)
  }
  const reader = together(deps, versions, chosen)
  const values: MetricAnswer[] = []
  for (let first = 0; first < chosen.length; first += atOnce) {
    const some = chosen.slice(first, first + atOnce)
    values.push(
      ...(await Promise.all(some.map((value) => readMetric(reader, { ...asked, dimension: textsOf(value) }))))
    )
  }
  return { kind: kindOfMetric(latest), dimensions: latest.dimensions.map(({ name }) => name), total, values }
}

/** The versions that count windows of the span; of those that begin later nothing is known yet. */
async function versionsOf(
  { definitionsOf }: MetricReaderDeps,
  { project, metric, toMs }: MetricQuestion
): Promise<readonly MetricDefinition[]> {
  const versions = (await definitionsOf(project)).filter(({ name }) => name === metric)
  return versions.filter(({ effectiveFromMs }, index) => index === 0 || effectiveFromMs < toMs)
}

/** From when on windows have the dimensions of the last version. */
function splitFrom(versions: readonly MetricDefinition[], { fromMs }: MetricQuestion): number {
  const dimensionsOf = (version: MetricDefinition | undefined): string => JSON.stringify(version?.dimensions)
  const other = versions.findLastIndex((version) => dimensionsOf(version) !== dimensionsOf(versions.at(-1)))
  return Math.max(fromMs, other < 0 ? 0 : (versions[other + 1]?.effectiveFromMs ?? 0))
}

/** `deps` for one value after the other, which asks the stores for all of them at once. */
function together(
  deps: MetricReaderDeps,
  versions: readonly MetricDefinition[],
  values: readonly string[]
): MetricReaderDeps {
  const reads = new Map<string, Promise<WindowsRead>>()
  const stored = new Map<string, Promise<ReadonlyMap<string, readonly StoredRow[]>>>()
  const storedBy = async (
    version: MetricDefinition,
    span: Span
  ): Promise<ReadonlyMap<string, readonly StoredRow[]>> => {
    const rows: (StoredRow & { readonly dimension: readonly string[] })[] = []
    for (const { sql, params } of valuesQueries(version, span, values.map(textsOf)))
      rows.push(...(await deps.clickhouse.rows<StoredRow & { readonly dimension: readonly string[] }>(sql, params)))
    return Map.groupBy(rows, ({ dimension }) => JSON.stringify(dimension))
  }
  return {
    ...deps,
    definitionsOf: async () => versions,
    windows: {
      read: (project, names) => once(reads, names.join(), () => deps.windows.read(project, names, values))
    },
    storedOf: async (version, span, dimension) => {
      const key = `${version.version} ${span.fromMs} ${span.toMs}`
      const byValue = await once(stored, key, () => storedBy(version, span))
      return byValue.get(JSON.stringify(dimension)) ?? []
    }
  }
}

function once<T>(made: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const before = made.get(key)
  if (before !== undefined) return before
  const result = make()
  made.set(key, result)
  return result
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
    const read = await windows.read(project, windowNames(metric, base, span), undefined, { plain: true })
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
  const lengthMs = windowLengths[granularity]
  // Windows are told as a whole; until the next one begins, this is the same question.
  const endMs = Math.ceil(toMs / lengthMs) * lengthMs
  const { sql, params } = dimensionsQuery(metric, { project, fromMs, toMs: endMs, lengthMs })
  try {
    const rows = await clickhouse.rows<ValueRow>(sql, params)
    return new Map(rows.map(({ dimension, count }) => [JSON.stringify(dimension), Number(count)]))
  } catch (error) {
    if (error instanceof AppError && error.code === 'PIPE_CLICKHOUSE_UNAVAILABLE') return new Map()
    throw error
  }
}
