// What a reader of metrics refuses before it asks anybody.
import { describe, expect, it } from 'vitest'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import { createManualClock } from '@millrace/kernel'
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
})
