// What a request for a metric asks, from its address. Pure.
import { parseIsoTime } from '@millrace/contracts'
import { usualGranularity, windowLengths } from '@millrace/serving/metric-answer'
import type { AnswerGranularity, MetricQuestion } from '@millrace/serving/metric-answer'
import { startOfDate } from '@millrace/serving/zone-days'

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
  const dimension = query['dimension']
  const names = query['dimensions']
  if (names !== undefined && (typeof names !== 'string' || names === '')) {
    return wrong('dimensions', 'dimensions are the names of the dimensions of the metric, with commas in between')
  }
  if (names !== undefined && dimension !== undefined)
    return wrong('dimensions', 'ask for one value, or for each of them')
  const zone = query['timezone'] ?? 'UTC'
  if (typeof zone !== 'string' || !isZone(zone)) return wrong('timezone', 'timezone is a name such as Europe/Berlin')
  const isOfZone = granularity === '1d' && zone !== 'UTC'
  if (isOfZone && names !== undefined) return wrong('timezone', 'values of dimensions apart are told by days of UTC')
  const toMs = query['endTime'] === undefined ? nowMs : timeOf(query['endTime'], zone)
  if (toMs === undefined) return wrong('endTime', timeRule)
  const lengthMs = windowLengths[granularity]
  const usualMs = floor(toMs, lengthMs) - (usualWindows[granularity] - 1) * lengthMs
  const fromMs = query['startTime'] === undefined ? usualMs : timeOf(query['startTime'], zone)
  if (fromMs === undefined) return wrong('startTime', timeRule)
  if (fromMs >= toMs) return wrong('startTime', 'startTime is before endTime')
  const limit = query['limit'] === undefined ? 20 : Number(query['limit'])
  if (!Number.isInteger(limit) || limit < 1 || limit > mostValues) {
    return wrong('limit', `limit is a whole number from 1 to ${mostValues}`)
  }
  const question: MetricQuestion = {
    project,
    metric,
    granularity,
    // The window in which the span begins is meant, too.
    fromMs: isOfZone ? fromMs : floor(fromMs, lengthMs),
    toMs,
    ...(dimension === undefined
      ? {}
      : { dimension: Array.isArray(dimension) ? dimension.map(String) : [String(dimension)] })
  }
  const split = names === undefined ? undefined : { names: names.split(','), limit }
  return { ok: true, question, split, zone: isOfZone ? zone : undefined }
}

const timeRule = 'a time is ISO 8601 with a zone (2026-01-31T10:00:00Z), a date, or milliseconds since 1970'

function granularityOf(metric: string, text: unknown): AnswerGranularity | undefined {
  if (text === undefined) return usualGranularity(metric)
  return Object.keys(windowLengths).find((each): each is AnswerGranularity => each === text)
}

/** A date is the start of its day in the zone. */
function timeOf(text: unknown, zone: string): number | undefined {
  if (typeof text !== 'string') return undefined
  if (/^\d{10,15}$/.test(text)) return Number(text)
  return /^\d{4}-\d\d-\d\d$/.test(text) ? startOfDate(zone, text) : parseIsoTime(text)
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
