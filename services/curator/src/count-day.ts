// One day of one project as the warehouse counts it: every metric, whole and by dimension. The same questions that answer
// a request for a day that nobody wrote down.
import { kindOfMetric, sessionMetrics } from '@millrace/aggregation/metric-messages'
import { unscaled } from '@millrace/aggregation/metrics'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import type { MetricKind } from '@millrace/contracts'
import type { DailyMetric } from '@millrace/operations/daily-metrics'
import { dimensionsQuery, metricQuery, sessionQuery } from '@millrace/serving/warehouse-query'
import type { Span } from '@millrace/serving/warehouse-query'
import type { Clickhouse } from '@millrace/stores/clickhouse'

export interface CountDeps {
  readonly clickhouse: Pick<Clickhouse, 'rows'>
  readonly conversionTypes: readonly string[]
  readonly latenessMs: number
}

export interface CountedDay {
  /** Every metric that was counted. */
  readonly metrics: ReadonlyMap<string, MetricKind>
  readonly values: readonly DailyMetric[]
  /** Events of the day that came too late for the live state. */
  readonly late: number
  /** Metrics of which another version began to count on this day: the live state has parts of both. */
  readonly changed: ReadonlySet<string>
}

const dayLengthMs = 86_400_000

/**
 * Counts the day that begins at `dayMs`; `definitions` are those of the project in all versions, by name in order. Throws
 * PIPE_CLICKHOUSE_UNAVAILABLE, PIPE_CLICKHOUSE_QUERY.
 */
export async function countDay(
  deps: CountDeps,
  projectId: string,
  dayMs: number,
  definitions: readonly MetricDefinition[]
): Promise<CountedDay> {
  const { clickhouse, conversionTypes, latenessMs } = deps
  const span: Span = { project: projectId, fromMs: dayMs, toMs: dayMs + dayLengthMs, lengthMs: dayLengthMs }
  const values: DailyMetric[] = []
  const metrics = new Map<string, MetricKind>()
  const make = (metric: string, kind: MetricKind, row: CountRow | undefined, names: readonly string[] = []): void => {
    const value = toValue(kind, row, names)
    if (value !== undefined) values.push({ projectId, dayMs, metric, ...value, ...fromWarehouse })
  }
  for (const definition of versionsOn(definitions, dayMs)) {
    const kind = kindOfMetric(definition)
    metrics.set(definition.name, kind)
    const total = metricQuery(definition, span)
    make(definition.name, kind, (await clickhouse.rows<CountRow>(total.sql, total.params))[0])
    if (definition.dimensions.length === 0) continue
    const split = dimensionsQuery(definition, span)
    const names = definition.dimensions.map(({ name }) => name)
    for (const row of await clickhouse.rows<CountRow>(split.sql, split.params)) make(definition.name, kind, row, names)
  }
  for (const name of sessionMetrics) {
    metrics.set(name, 'ratio')
    const { sql, params } = sessionQuery(name, span, conversionTypes)
    make(name, 'ratio', (await clickhouse.rows<CountRow>(sql, params))[0])
  }
  const late = await countLate(clickhouse, span, latenessMs)
  const changed = definitions.filter((each) => isWithin(each.effectiveFromMs, span)).map(({ name }) => name)
  return { metrics, values, late, changed: new Set(changed) }
}

/** The version of each metric that a day counts by: the last one that was in force when it began, or else the first. */
export function versionsOn(definitions: readonly MetricDefinition[], dayMs: number): readonly MetricDefinition[] {
  const byName = new Map<string, MetricDefinition>()
  for (const definition of definitions)
    if (!byName.has(definition.name) || definition.effectiveFromMs <= dayMs) byName.set(definition.name, definition)
  return [...byName.values()]
}

interface CountRow {
  /** Absent: the whole day. */
  readonly dimension?: readonly string[]
  readonly count: string
  /** A whole number; of sums, least and greatest values in millionths. */
  readonly value: string
}

const fromWarehouse = { capped: false, revision: [0, 0], source: 'warehouse' } as const

type Value = Pick<DailyMetric, 'dimensionKey' | 'dimensionValue' | 'value' | 'denominator' | 'count'>

/** A day without events is 0; it has no least and no greatest value. */
function toValue(kind: MetricKind, row: CountRow | undefined, names: readonly string[]): Value | undefined {
  if (row === undefined && (kind === 'min' || kind === 'max')) return undefined
  const count = Number(row?.count ?? 0)
  const texts = row?.dimension
  const isScaled = kind === 'sum' || kind === 'min' || kind === 'max'
  const value = isScaled ? unscaled(BigInt(row?.value ?? '0')) : Number(row?.value ?? 0)
  return {
    dimensionKey: texts === undefined ? '' : JSON.stringify(names),
    dimensionValue: texts === undefined ? '' : JSON.stringify(texts),
    value,
    ...(kind === 'ratio' ? { denominator: count } : {}),
    count
  }
}

async function countLate(clickhouse: Pick<Clickhouse, 'rows'>, span: Span, latenessMs: number): Promise<number> {
  const [row] = await clickhouse.rows<{ late: string }>(
    `SELECT countIf(latenessMs > {lateness:Int64}) AS late FROM events WHERE projectId = {project:String}
       AND timestamp >= fromUnixTimestamp64Milli({from:Int64}) AND timestamp < fromUnixTimestamp64Milli({to:Int64})`,
    { project: span.project, from: span.fromMs, to: span.toMs, lateness: latenessMs }
  )
  return Number(row?.late ?? 0)
}

function isWithin(atMs: number, { fromMs, toMs }: Span): boolean {
  return atMs > fromMs && atMs < toMs
}
