// What a request for a metric asks, from its address. Pure.
import { usualGranularity, windowLengths } from '@millrace/serving/metric-answer'
import type { AnswerGranularity, MetricQuestion } from '@millrace/serving/metric-answer'
import { isZone, timeOf, timeRule } from './question-time.ts'

/** Values of the dimensions apart from each other: their names, and how many of the values. */
export interface Split {
  readonly names: readonly string[]
  readonly limit: number
}

/** A question, or the parameter that breaks its rule. */
export type ReadMetricQuestion =
  | {
      readonly ok: true
      readonly question: MetricQuestion
      readonly split: Split | undefined
      /** Whose days are meant; undefined: UTC, or windows that are no days. */
      readonly zone: string | undefined
    }
  | Wrong

const parameters = ['startTime', 'endTime', 'granularity', 'dimension', 'dimensions', 'limit', 'timezone']
/** Windows that are shown when nobody says since when. */
const usualWindows: Readonly<Record<AnswerGranularity, number>> = { '1m': 60, '1h': 24, '1d': 7 }
const mostValues = 200
const usualValues = 20

type Query = Readonly<Record<string, unknown>>

interface Wrong {
  readonly ok: false
  readonly parameter: string
  readonly detail: string
}

/** Reads the query string of `GET /v1/metrics/:name`. */
export function readMetricQuestion(project: string, metric: string, query: Query, nowMs: number): ReadMetricQuestion {
  const unknown = Object.keys(query).find((name) => !parameters.includes(name))
  if (unknown !== undefined) return wrong(unknown, `there is no parameter ${unknown}; known: ${parameters.join(', ')}`)
  const granularity = granularityOf(metric, query['granularity'])
  if (granularity === undefined) return wrong('granularity', 'granularity is 1m, 1h or 1d')
  const parts = readParts(query)
  if (!parts.ok) return parts
  const name = query['timezone'] ?? 'UTC'
  if (typeof name !== 'string' || !isZone(name)) return wrong('timezone', 'timezone is a name such as Europe/Berlin')
  const zone = granularity === '1d' && name !== 'UTC' ? name : undefined
  if (zone !== undefined && parts.split !== undefined)
    return wrong('timezone', 'values of dimensions apart are told by days of UTC')
  const span = readSpan(query, granularity, zone, nowMs)
  if (!span.ok) return span
  const { fromMs, toMs } = span
  const { dimension, split } = parts
  return { ok: true, question: { project, metric, granularity, fromMs, toMs, ...dimension }, split, zone }
}

/** One value of each dimension, or their values apart from each other. */
function readParts(
  query: Query
):
  | Wrong
  | { readonly ok: true; readonly dimension: Pick<MetricQuestion, 'dimension'>; readonly split: Split | undefined } {
  const { dimension, dimensions: names } = query
  const limit = query['limit'] === undefined ? usualValues : Number(query['limit'])
  if (!Number.isInteger(limit) || limit < 1 || limit > mostValues) {
    return wrong('limit', `limit is a whole number from 1 to ${mostValues}`)
  }
  if (names === undefined) {
    const given = dimension === undefined ? {} : { dimension: [dimension].flat().map(String) }
    return { ok: true, dimension: given, split: undefined }
  }
  if (typeof names !== 'string' || names === '') {
    return wrong('dimensions', 'dimensions are the names of the dimensions of the metric, with commas in between')
  }
  if (dimension !== undefined) return wrong('dimensions', 'ask for one value, or for each of them')
  return { ok: true, dimension: {}, split: { names: names.split(','), limit } }
}

/** From the start of the window in which startTime lies to endTime; days of a zone find their start by themselves. */
function readSpan(
  query: Query,
  granularity: AnswerGranularity,
  zone: string | undefined,
  nowMs: number
): Wrong | { readonly ok: true; readonly fromMs: number; readonly toMs: number } {
  const lengthMs = windowLengths[granularity]
  const toMs = query['endTime'] === undefined ? nowMs : timeOf(query['endTime'], zone)
  if (toMs === undefined) return wrong('endTime', timeRule)
  const usualMs = floor(toMs, lengthMs) - (usualWindows[granularity] - 1) * lengthMs
  const fromMs = query['startTime'] === undefined ? usualMs : timeOf(query['startTime'], zone)
  if (fromMs === undefined) return wrong('startTime', timeRule)
  if (fromMs >= toMs) return wrong('startTime', 'startTime is before endTime')
  if (fromMs < earliestMs) return wrong('startTime', 'startTime is not before 1970')
  return { ok: true, fromMs: zone === undefined ? floor(fromMs, lengthMs) : fromMs, toMs }
}

function wrong(parameter: string, detail: string): Wrong {
  return { ok: false, parameter, detail }
}

/** The first day of 1970 begins the day before in zones that are ahead of UTC. */
const earliestMs = -windowLengths['1d']

function granularityOf(metric: string, text: unknown): AnswerGranularity | undefined {
  if (text === undefined) return usualGranularity(metric)
  return Object.keys(windowLengths).find((each): each is AnswerGranularity => each === text)
}

function floor(ms: number, lengthMs: number): number {
  return ms - (((ms % lengthMs) + lengthMs) % lengthMs)
}
