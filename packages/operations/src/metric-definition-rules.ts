// What a metric definition may say, and how people write it: names of fields are columns, or `properties.<name>`. Pure.
import { builtInMetrics, derivedMetrics } from '@millrace/aggregation/metrics'
import { sessionMetrics } from '@millrace/aggregation/metric-messages'
import type { Granularity, Measure, MetricDefinition, Source, TextColumn } from '@millrace/aggregation/metrics'
import { AppError } from '@millrace/kernel'

/** What a definition says, apart from its name, version and start. */
export type MetricMeaning = Omit<MetricDefinition, 'name' | 'version' | 'effectiveFromMs'>

/** Columns that a metric may be filtered on or split by. */
export const metricColumns = [
  'eventType',
  'userId',
  'anonymousId',
  'sessionId',
  'path',
  'title',
  'referrer',
  'campaignSource',
  'campaignMedium',
  'campaignName',
  'campaignTerm',
  'campaignContent',
  'trafficSource',
  'deviceType',
  'os',
  'browser',
  'country',
  'locale',
  'libraryName',
  'libraryVersion'
] as const satisfies readonly TextColumn[]

/** Limits of a definition and of a project. */
export const metricLimits = {
  metrics: 50,
  versions: 100,
  eventTypes: 50,
  filters: 10,
  dimensions: 2,
  cap: 200,
  textLength: 256
} as const

const allGranularities: readonly Granularity[] = ['1m', '1h']
const defaultCap = 50
const namePattern = /^[a-z][a-z0-9_]{0,62}$/

/** Throws PIPE_INVALID_INPUT for a name that cannot be a metric's, or is one that every project has. */
export function checkMetricName(name: string): void {
  if (!namePattern.test(name)) throw invalid(`'${name}' is no metric name: a-z first, then up to 62 of a-z, 0-9 and _`)
  const builtIn = [...builtInMetrics([]).map((metric) => metric.name), ...sessionMetrics, ...derivedMetrics.keys()]
  if (builtIn.includes(name)) throw invalid(`'${name}' is a metric that every project has; choose another name`)
}

/**
 * Reads a definition as people write it: `eventTypes`, `where` (`[{field, equals}]`), `measure` (`{kind, of | property}`),
 * `dimensions` (fields), `cap`, `granularities`; all but `measure` may be left out. Throws PIPE_INVALID_INPUT that names
 * everything that is wrong.
 */
export function parseMeaning(value: unknown): MetricMeaning {
  const problems: string[] = []
  const say = (problem: string): void => void problems.push(problem)
  if (!isObject(value)) throw invalid('a metric definition is an object')
  const known = ['eventTypes', 'where', 'measure', 'dimensions', 'cap', 'granularities']
  for (const key of Object.keys(value)) if (!known.includes(key)) say(`'${key}' is none of ${known.join(', ')}`)
  const eventTypes = readEventTypes(value['eventTypes'], say)
  const dimensions = readDimensions(value['dimensions'], say)
  const meaning = {
    ...(eventTypes === undefined ? {} : { eventTypes }),
    where: readWhere(value['where'], say),
    measure: readMeasure(value['measure'], say),
    dimensions,
    cap: readCap(value['cap'], dimensions.length, say),
    granularities: readGranularities(value['granularities'], say)
  }
  if (problems.length > 0) throw invalid(problems.join('; '))
  return meaning
}

/** A definition as people write it; `parseMeaning` reads it back. */
export function writeMeaning(meaning: MetricMeaning): Readonly<Record<string, unknown>> {
  const { eventTypes, where, measure, dimensions, cap, granularities } = meaning
  const filters = where.map(({ source, equals }) => ({ field: toField(source), equals }))
  const types = eventTypes === undefined ? {} : { eventTypes }
  return { ...types, where: filters, measure, dimensions: dimensions.map(toField), cap, granularities }
}

/** The name of a source as people write it. */
export function toField(source: Source): string {
  return source.from === 'column' ? source.name : `${propertyPrefix}${source.name}`
}

const propertyPrefix = 'properties.'

type Say = (problem: string) => void

function readEventTypes(value: unknown, say: Say): readonly string[] | undefined {
  if (value === undefined) return undefined
  const types = texts(value)
  if (types === undefined || types.length === 0 || types.length > metricLimits.eventTypes) {
    say(`eventTypes is a list of 1 to ${metricLimits.eventTypes} event types; leave it out for all`)
    return undefined
  }
  return [...new Set(types)].toSorted()
}

function readWhere(value: unknown, say: Say): MetricMeaning['where'] {
  if (value === undefined) return []
  if (!Array.isArray(value) || value.length > metricLimits.filters) {
    say(`where is a list of at most ${metricLimits.filters} of {"field": ..., "equals": ...}`)
    return []
  }
  return value.flatMap((filter: unknown) => {
    const equals = isObject(filter) ? filter['equals'] : undefined
    const source = isObject(filter) ? readField(filter['field'], say) : undefined
    if (typeof equals !== 'string' || equals.length > metricLimits.textLength) {
      say(`equals of a filter is a text of at most ${metricLimits.textLength} characters`)
      return []
    }
    return source === undefined ? [] : [{ source, equals }]
  })
}

function readMeasure(value: unknown, say: Say): Measure {
  const { kind, of, property } = isObject(value) ? value : {}
  const extra = isObject(value) ? Object.keys(value).filter((key) => !['kind', 'of', 'property'].includes(key)) : []
  if (extra.length > 0) say(`measure has no '${extra.join(', ')}'`)
  if (kind === 'count' && of === undefined && property === undefined) return { kind }
  if (kind === 'unique' && (of === 'user' || of === 'session') && property === undefined) return { kind, of }
  if ((kind === 'sum' || kind === 'min' || kind === 'max') && of === undefined && isPropertyName(property))
    return { kind, property }
  say(
    'measure is {"kind": "count"}, {"kind": "unique", "of": "user" or "session"}, or {"kind": "sum", "min" or "max", "property": name}'
  )
  return { kind: 'count' }
}

function readDimensions(value: unknown, say: Say): readonly Source[] {
  if (value === undefined) return []
  const fields = texts(value)
  if (fields === undefined || fields.length > metricLimits.dimensions || new Set(fields).size !== fields.length) {
    say(`dimensions is a list of at most ${metricLimits.dimensions} different fields`)
    return []
  }
  return fields.flatMap((field) => readField(field, say) ?? [])
}

function readCap(value: unknown, dimensions: number, say: Say): number {
  if (dimensions === 0) {
    if (value !== undefined && value !== 0) say('cap is for metrics with dimensions')
    return 0
  }
  if (value === undefined) return defaultCap
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= metricLimits.cap) return value
  say(`cap is a whole number from 1 to ${metricLimits.cap}: combinations that a window keeps apart`)
  return defaultCap
}

function readGranularities(value: unknown, say: Say): readonly Granularity[] {
  if (value === undefined) return allGranularities
  const given = texts(value) ?? []
  const chosen = allGranularities.filter((each) => given.includes(each))
  if (chosen.length === 0 || chosen.length !== given.length)
    say(`granularities are some of ${allGranularities.join(', ')}`)
  return chosen
}

function readField(value: unknown, say: Say): Source | undefined {
  if (typeof value === 'string') {
    const column = metricColumns.find((each) => each === value)
    if (column !== undefined) return { from: 'column', name: column }
    const name = value.startsWith(propertyPrefix) ? value.slice(propertyPrefix.length) : ''
    if (isPropertyName(name)) return { from: 'property', name }
  }
  say(`'${String(value)}' is no field: properties.<name>, or one of ${metricColumns.join(', ')}`)
  return undefined
}

function isPropertyName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= metricLimits.textLength && value.isWellFormed()
}

function texts(value: unknown): readonly string[] | undefined {
  const isList = Array.isArray(value) && value.every((each) => typeof each === 'string' && each !== '')
  return isList ? (value as readonly string[]) : undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(message: string): AppError {
  return new AppError('PIPE_INVALID_INPUT', message)
}
