// What a reader of the days of a zone refuses before it lists a day.
import { describe, expect, it } from 'vitest'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import { AppError, createManualClock } from '@millrace/kernel'
import type { MetricReaderDeps } from './read-metric.ts'
import { readZoneDays } from './read-zone-days.ts'

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
const question = { project: 'shop', metric: 'active_users', granularity: '1d' as const, fromMs: 0, toMs: now }

describe('a reader of the days of a zone', () => {
  it.each([
    ['the year 0', Date.UTC(0, 0, 1) - 1_900 * 365 * 86_400_000],
    ['a date that came twice', Date.UTC(1969, 8, 29)],
    ['a span of too many days', 0]
  ])('refuses %s before it lists a day', async (_what, fromMs) => {
    // Listing days would throw RangeError for the zone.
    await expect(readZoneDays(asksNobody, { ...question, fromMs }, 'Mars/Olympus')).rejects.toMatchObject({
      code: 'PIPE_INVALID_INPUT'
    })
  })

  it('refuses a text for a dimension that the metric does not have', async () => {
    const asked = { ...question, fromMs: now - 86_400_000, dimension: ['x'] }
    await expect(readZoneDays(asksNobody, asked, 'Europe/Berlin')).rejects.toMatchObject({
      code: 'PIPE_INVALID_INPUT',
      message: "'active_users' has 0 dimensions; give one text for each"
    })
  })

  it.each([
    ['active_users', 0, '2026-01-30', [false, true]],
    ['active_users', 16 * 3_600_000, '2026-01-30', [true, false]],
    ['bounce_rate', 0, '2026-01-29', [false, true]],
    ['bounce_rate', 0, '2026-01-30', [true, true]]
  ])('judges %s counted %d ms ago on %s', async (metric, ageMs, date, state) => {
    const deps: MetricReaderDeps = {
      ...asksNobody,
      windows: { read: () => Promise.reject(new AppError('PIPE_REDIS_UNAVAILABLE', 'away')) },
      clickhouse: { rows: async () => [] },
      rowsAgeMs: () => ageMs
    }
    const fromMs = Date.parse(`${date}T12:00:00+05:45`)
    const { data } = await readZoneDays(deps, { ...question, metric, fromMs, toMs: fromMs + 1 }, 'Asia/Kathmandu')
    expect(data.map(({ provisional, complete }) => [provisional, complete])).toEqual([state])
  })
})
