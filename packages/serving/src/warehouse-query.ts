// A metric as one question to the warehouse: what the fold counts of an event, written as SQL. Names and texts of people
// are parameters, never part of the text. Pure.
import { sessionMetrics } from '@millrace/aggregation/metric-messages'
import { pageView, valueScale } from '@millrace/aggregation/metrics'
import type { MetricDefinition, Source } from '@millrace/aggregation/metrics'

export interface WarehouseQuery {
  readonly sql: string
  readonly params: Readonly<Record<string, unknown>>
}

export interface Span {
  readonly project: string
  /** Windows that begin in [fromMs, toMs). */
  readonly fromMs: number
  readonly toMs: number
  readonly lengthMs: number
}

/** Beyond this a value is not counted (metrics.ts of aggregation). */
const largestValue = 1_000_000_000
/** A session that begins in the span may go on after it, or have begun before it. */
const sessionReachMs = 86_400_000

const startOf = (time: string): string => `intDiv(toUnixTimestamp64Milli(${time}), {length:Int64}) * {length:Int64}`

const inSpan = `timestamp >= fromUnixTimestamp64Milli({from:Int64}) AND timestamp < fromUnixTimestamp64Milli({to:Int64})`

/**
 * Rows `{start, count, value}` of the windows that have events: `value` is the number of members, the sum in millionths,
 * or the least or greatest value. `dimension` has one text for each dimension of the metric.
 */
export function metricQuery(metric: MetricDefinition, span: Span, dimension?: readonly string[]): WarehouseQuery {
  const { conditions, value, params, bind } = questionOf(metric, span)
  dimension?.forEach((text, index) => {
    const source = metric.dimensions[index]
    if (source !== undefined) conditions.push(`${textOf(source, bind)} = ${bind(text)}`)
  })
  const sql = `SELECT ${startOf('timestamp')} AS start, count() AS count, toString(${value}) AS value
    FROM events WHERE ${conditions.join(' AND ')} GROUP BY start`
  return { sql, params }
}

/**
 * Rows `{dimension, count, value}` of the whole span, one for each combination of texts (a list) of the dimensions: the
 * most frequent ones, as many as the metric keeps apart.
 */
export function dimensionsQuery(metric: MetricDefinition, span: Span): WarehouseQuery {
  const { conditions, value, params, bind } = questionOf(metric, span)
  const texts = metric.dimensions.map((source) => textOf(source, bind))
  const sql = `SELECT [${texts.join(', ')}] AS dimension, count() AS count, toString(${value}) AS value
    FROM events WHERE ${conditions.join(' AND ')} GROUP BY dimension ORDER BY count DESC, dimension LIMIT ${bind(metric.cap, 'UInt32')}`
  return { sql, params }
}

/** Parameters travel in the URL, of which servers take a mebibyte, and what stands before them often less. */
const maxValuesBytes = 64 * 1024

/**
 * As `metricQuery`, with the combination of texts (`dimension`) in each row: of those in `values` alone, in as many
 * questions as their length asks for. The order of `values` does not matter.
 */
export function valuesQueries(
  metric: MetricDefinition,
  span: Span,
  values: readonly (readonly string[])[]
): readonly WarehouseQuery[] {
  const parts: (readonly string[])[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const text of values.map((each) => JSON.stringify(each)).toSorted()) {
    const length = new URLSearchParams({ text }).toString().length
    if (bytes + length > maxValuesBytes) {
      parts.push([])
      bytes = 0
    }
    bytes += length
    // oxlint-disable-next-line no-restricted-properties -- written above
    parts.at(-1)?.push(JSON.parse(text) as readonly string[])
  }
  return parts.map((part) => valuesQuery(metric, span, part))
}

function valuesQuery(metric: MetricDefinition, span: Span, values: readonly (readonly string[])[]): WarehouseQuery {
  const { conditions, value, params, bind } = questionOf(metric, span)
  const texts = metric.dimensions.map((source) => textOf(source, bind)).join(', ')
  const sql = `SELECT [${texts}] AS dimension, ${startOf('timestamp')} AS start, count() AS count, toString(${value}) AS value
    FROM events WHERE ${conditions.join(' AND ')} AND has(${bind(values, 'Array(Array(String))')}, dimension)
    GROUP BY dimension, start`
  return { sql, params }
}

type Bind = (value: unknown, type?: string) => string

/** What of the events a metric counts, and how. */
function questionOf({ eventTypes, where, measure }: MetricDefinition, span: Span) {
  const params: Record<string, unknown> = spanParams(span)
  const bind: Bind = (bound, type = Array.isArray(bound) ? 'Array(String)' : 'String') => {
    const name = `p${Object.keys(params).length}`
    params[name] = bound
    return `{${name}:${type}}`
  }
  const conditions = ['projectId = {project:String}', inSpan]
  if (eventTypes !== undefined) conditions.push(`has(${bind(eventTypes)}, toString(eventType))`)
  for (const { source, equals } of where) conditions.push(`${textOf(source, bind)} = ${bind(equals)}`)
  if (measure.kind === 'count') return { conditions, value: 'count()', params, bind }
  if (measure.kind === 'unique') {
    const member = measure.of === 'session' ? 'sessionId' : userOf
    conditions.push(`${member} != ''`)
    return { conditions, value: `uniqExact(${member})`, params, bind }
  }
  const property = bind(measure.property)
  conditions.push(`JSONType(properties, ${property}) IN ('Int64', 'UInt64', 'Double')`)
  conditions.push(`abs(JSONExtractFloat(properties, ${property})) <= ${largestValue}`)
  // As the fold rounds: half a millionth goes up.
  const value = `${measure.kind}(toInt128(floor(JSONExtractFloat(properties, ${property}) * ${valueScale} + 0.5)))`
  return { conditions, value, params, bind }
}

/** As `metricQuery`, for the metrics of sessions: `count` sessions that began in a window, `value` the numerator. */
export function sessionQuery(name: string, span: Span, conversionTypes: readonly string[]): WarehouseQuery {
  if (!sessionMetrics.includes(name)) throw new Error(`${name} is no metric of sessions`)
  const value = name === 'bounce_rate' ? 'countIf(pages <= 1 AND NOT converted)' : 'sum(lengthMs)'
  const sql = `SELECT ${startOf('began')} AS start, count() AS count, toString(${value}) AS value FROM (
      SELECT min(timestamp) AS began, dateDiff('millisecond', min(timestamp), max(timestamp)) AS lengthMs,
        countIf(eventType = {pageView:String}) AS pages, countIf(has({conversions:Array(String)}, toString(eventType))) > 0 AS converted
      FROM events WHERE projectId = {project:String} AND sessionId != ''
        AND timestamp >= fromUnixTimestamp64Milli({from:Int64} - {reach:Int64})
        AND timestamp < fromUnixTimestamp64Milli({to:Int64} + {reach:Int64})
      GROUP BY sessionId
    ) WHERE began >= fromUnixTimestamp64Milli({from:Int64}) AND began < fromUnixTimestamp64Milli({to:Int64}) GROUP BY start`
  const params = { ...spanParams(span), pageView, conversions: conversionTypes, reach: sessionReachMs }
  return { sql, params }
}

function spanParams({ project, fromMs, toMs, lengthMs }: Span): Record<string, unknown> {
  return { project, from: fromMs, to: toMs, length: lengthMs }
}

/** As the fold tells users and anonymous ids apart. */
const userOf = `multiIf(userId != '', concat('u', userId), anonymousId != '', concat('a', anonymousId), '')`

/** The text that the fold makes of a column or plain property: at most 256 characters, empty when there is none. */
function textOf(source: Source, bind: Bind): string {
  // Columns are names of a closed list.
  if (source.from === 'column') return `substringUTF8(toString(${source.name}), 1, 256)`
  const property = bind(source.name)
  return `multiIf(JSONType(properties, ${property}) = 'String', substringUTF8(JSONExtractString(properties, ${property}), 1, 256),
    JSONType(properties, ${property}) IN ('Int64', 'UInt64', 'Double', 'Bool'), JSONExtractRaw(properties, ${property}), '')`
}
