// What a request for a metric asks, from its address. Pure.
import { parseIsoTime } from '@millrace/contracts'
import { usualGranularity, windowLengths } from '@millrace/serving/metric-answer'
import type { AnswerGranularity, MetricQuestion } from '@millrace/serving/metric-answer'

/** Values of the dimensions apart from each other: their names, and how many of the values. */
export interface Split {
  readonly names: readonly string[]
  readonly limit: number
}

/** A question, or the parameter that breaks its rule. */
export type ReadMetricQuestion =
  | { readonly ok: true; readonly question: MetricQuestion; readonly split: Split | undefined }
  | { readonly ok: false; readonly parameter: string; readonly detail: string }

const parameters = ['startTime', 'endTime', 'granularity', 'dimension', 'dimensions', 'limit', 'timezone']
/** Windows that are shown when nobody says since when. */
const usualWindows: Readonly<Record<AnswerGranularity, number>> = { '1m': 60, '1h': 24, '1d': 7 }
const mostValues = 200

type Query = Readonly<Record<string, unknown>>

/** Reads the query string of `GET /v1/metrics/:name`. */
export function readMetricQuestion(project: string, metric: string, query: Query, nowMs: number): ReadMetricQuestion {
  const wrong = (parameter: string, detail: string) => ({ ok: false, parameter, detail }) as const
  const unknown = Object.keys(query).find((name) => !parameters.includes(name))
  if (unknown !== undefined) return wrong(unknown, `there is no parameter ${unknown}; known: ${parameters.join(', ')}`)
  const granularity = granularityOf(metric, query['granularity'])
  if (granularity === undefined) return wrong('granularity', 'granularity is 1m, 1h or 1d')
  const toMs = query['endTime'] === undefined ? nowMs : timeOf(query['endTime'])
  if (toMs === undefined) return wrong('endTime', timeRule)
  const lengthMs = windowLengths[granularity]
  const usualMs = floor(toMs, lengthMs) - (usualWindows[granularity] - 1) * lengthMs
  const fromMs = query['startTime'] === undefined ? usualMs : timeOf(query['startTime'])
  if (fromMs === undefined) return wrong('startTime', timeRule)
  if (fromMs >= toMs) return wrong('startTime', 'startTime is before endTime')
  const dimension = query['dimension']
  const limit = query['limit'] === undefined ? 20 : Number(query['limit'])
  if (!Number.isInteger(limit) || limit < 1 || limit > mostValues) {
    return wrong('limit', `limit is a whole number from 1 to ${mostValues}`)
  }
  const names = query['dimensions']
  if (names !== undefined && (typeof names !== 'string' || names === '')) {
    return wrong('dimensions', 'dimensions are the names of the dimensions of the metric, with commas in between')
  }
  if (names !== undefined && dimension !== undefined)
    return wrong('dimensions', 'ask for one value, or for each of them')
  const zone = query['timezone'] ?? 'UTC'
  if (typeof zone !== 'string' || !isZone(zone)) return wrong('timezone', 'timezone is a name such as Europe/Berlin')
  const question: MetricQuestion = {
    project,
    metric,
    granularity,
    // The window in which the span begins is meant, too.
    fromMs: floor(fromMs, lengthMs),
    toMs,
    ...(dimension === undefined
      ? {}
      : { dimension: Array.isArray(dimension) ? dimension.map(String) : [String(dimension)] })
  }
  return { ok: true, question, split: names === undefined ? undefined : { names: names.split(','), limit } }
}

const timeRule = 'a time is ISO 8601 with a zone (2026-01-31T10:00:00Z), a date, or milliseconds since 1970'

function granularityOf(metric: string, text: unknown): AnswerGranularity | undefined {
  if (text === undefined) return usualGranularity(metric)
  return Object.keys(windowLengths).find((each): each is AnswerGranularity => each === text)
}

/** A date is the start of its day in UTC. */
function timeOf(text: unknown): number | undefined {
  if (typeof text !== 'string') return undefined
  if (/^\d{10,15}$/.test(text)) return Number(text)
  return parseIsoTime(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text)
}

function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

function floor(ms: number, lengthMs: number): number {
  return ms - (((ms % lengthMs) + lengthMs) % lengthMs)
}
