// What a reader of metrics refuses before it asks anybody.
import { describe, expect, it } from 'vitest'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import { AppError, createManualClock } from '@millrace/kernel'
import { windowLengths } from './metric-answer.ts'
import { readMetric } from './read-metric.ts'
import type { MetricReaderDeps } from './read-metric.ts'

const now = Date.UTC(2026, 0, 31, 10)

/** Whoever asks a store fails. */
const asksNobody: MetricReaderDeps = {
  windows: { read: () => Promise.reject(new Error('the live state was asked')) },
  clickhouse: { rows: () => Promise.reject(new Error('the warehouse was asked')) },
  definitionsOf: async () => builtInMetrics([]),
  daysOf: () => Promise.reject(new Error('PostgreSQL was asked')),
  conversionTypes: [],
  clock: createManualClock(now),
  latenessMs: 60_000
}

describe('a reader of metrics', () => {
  it('refuses more windows than an answer may have before it lists them', async () => {
    const question = { project: 'shop', metric: 'events', granularity: '1m' as const, fromMs: 0, toMs: now }
    await expect(readMetric(asksNobody, question)).rejects.toMatchObject({ code: 'PIPE_INVALID_INPUT' })
    // As a list these would be longer than any list.
    await expect(readMetric(asksNobody, { ...question, fromMs: -8.64e15 })).rejects.toMatchObject({
      code: 'PIPE_INVALID_INPUT'
    })
  })

  const settled = (over: Partial<MetricReaderDeps>, metric: string, endMs: number, granularity: '1m' | '1h' = '1h') => {
    const away = new AppError('PIPE_REDIS_UNAVAILABLE', 'away')
    const deps: MetricReaderDeps = {
      ...asksNobody,
      windows: { read: () => Promise.reject(away) },
      clickhouse: { rows: async () => [] },
      ...over
    }
    const fromMs = endMs - windowLengths[granularity]
    const asked = { project: 'shop', metric, granularity, fromMs, toMs: endMs }
    return readMetric(deps, asked).then(({ data }) => data.map(({ provisional, complete }) => [provisional, complete]))
  }

  it('judges windows of the warehouse as of the age of its rows', async () => {
    const minute = 60_000
    const rowsAgeMs = () => 10 * minute
    expect(await settled({}, 'events', now - minute * 5, '1m')).toEqual([[false, true]])
    expect(await settled({ rowsAgeMs }, 'events', now - minute * 5, '1m')).toEqual([[true, false]])
    expect(await settled({ rowsAgeMs }, 'events', now - minute * 11, '1m')).toEqual([[true, true]])
    expect(await settled({ rowsAgeMs }, 'events', now - minute * 12, '1m')).toEqual([[false, true]])
  })

  it('takes sessions of the warehouse for final when the longest may be over', async () => {
    const hour = 3_600_000
    expect(await settled({}, 'bounce_rate', now - 24 * hour)).toEqual([[true, true]])
    expect(await settled({}, 'bounce_rate', now - 25 * hour)).toEqual([[false, true]])
  })
})
