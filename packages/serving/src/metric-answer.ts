// What a question about a metric is answered with.
import { derivedMetrics } from '@millrace/aggregation/metrics'
import type { Granularity } from '@millrace/aggregation/metrics'

/** Windows of the live state, and days made of them. */
export type AnswerGranularity = Granularity | '1d'

/** Length of a window, ms. */
export const windowLengths: Readonly<Record<AnswerGranularity, number>> = {
  '1m': 60_000,
  '1h': 3_600_000,
  '1d': 86_400_000
}

/** The length of window that is meant when nobody says: the only one of a metric of days, hours otherwise. */
export function usualGranularity(metric: string): AnswerGranularity {
  return derivedMetrics.get(metric)?.granularity ?? '1h'
}

export interface MetricQuestion {
  readonly project: string
  readonly metric: string
  readonly granularity: AnswerGranularity
  /** Windows that begin in [fromMs, toMs), and not after now. */
  readonly fromMs: number
  readonly toMs: number
  /** One text for each dimension of the metric; left out: all of them together. */
  readonly dimension?: readonly string[]
}

export interface MetricPoint {
  /** Start of the window. */
  readonly timestampMs: number
  /** Null: not known. A window that is known to have no event is 0. */
  readonly value: number | null
  /** Events that the value is made of; of a ratio the sessions. */
  readonly count: number | null
  /** Of metrics that count users; approximate in live windows. */
  readonly uniqueUsers?: number
  /** Of a ratio; `value` is numerator / denominator. */
  readonly numerator?: number
  readonly denominator?: number
  /** Events in time may still change it. */
  readonly provisional: boolean
  /** False: the window is not over or not known, or its dimension is beyond the cap. */
  readonly complete: boolean
}

export type AnswerSource = 'live' | 'warehouse' | 'mixed'

export interface MetricAnswer {
  readonly metric: string
  readonly granularity: AnswerGranularity
  readonly dimension?: readonly string[]
  readonly data: readonly MetricPoint[]
  readonly source: AnswerSource
}

/** A point of which nothing is known. */
export function unknownPoint(timestampMs: number): MetricPoint {
  return { timestampMs, value: null, count: null, provisional: true, complete: false }
}
