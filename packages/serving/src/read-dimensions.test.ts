// What a reader of the values of dimensions asks the warehouse.
import { expect, it } from 'vitest'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import { AppError, createManualClock } from '@millrace/kernel'
import { readDimensions } from './read-dimensions.ts'

const hour = 3_600_000
const now = Date.UTC(2026, 0, 31, 10, 20)

it('asks for the most frequent values of whole windows, so that it asks the same until the next one begins', async () => {
  const ends: unknown[] = []
  const ask = (toMs: number) =>
    readDimensions(
      {
        windows: { read: () => Promise.reject(new AppError('PIPE_REDIS_UNAVAILABLE', 'away')) },
        clickhouse: {
          rows: async (sql, params) => {
            if (sql.includes('AS dimension')) ends.push(params?.['to'])
            return []
          }
        },
        definitionsOf: async () => builtInMetrics([]),
        daysOf: async () => [],
        conversionTypes: [],
        clock: createManualClock(now),
        latenessMs: 60_000
      },
      { project: 'shop', metric: 'events', granularity: '1h', fromMs: now - 2 * hour, toMs },
      20
    )
  await ask(now)
  await ask(now + 1_000)
  await ask(Date.UTC(2026, 0, 31, 10))
  expect(ends).toEqual([Date.UTC(2026, 0, 31, 11), Date.UTC(2026, 0, 31, 11), Date.UTC(2026, 0, 31, 10)])
})
