import { describe, expect, it } from 'vitest'
import { AppError } from '@millrace/kernel'
import type { WarehouseEntry } from './entry.ts'
import { insertByMonth } from './months.ts'

const entry = (at: string): WarehouseEntry => ({
  projectId: 'p',
  userId: at,
  anonymousId: '',
  timestampMs: Date.parse(at),
  event: { bytes: Buffer.alloc(0), start: 0, end: 0 },
  link: undefined
})
const times = ['2026-01-31T23:59:59.999Z', '2026-02-01T00:00:00Z', '2025-01-15T00:00:00Z', '2026-01-01T00:00:00Z']
const unavailable = (code: number): AppError =>
  new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'insert', { details: { code } })

async function attempt(from: readonly string[], answer: (count: number) => AppError | undefined) {
  const inserts: (readonly string[])[] = []
  const apart = insertByMonth(from.map(entry), async (entries) => {
    inserts.push(entries.map(({ userId }) => userId))
    const error = answer(entries.length)
    if (error !== undefined) throw error
  })
  return { inserts, apart: await apart.catch((error: unknown) => error) }
}

describe('insert by month', () => {
  it('is one insert where the server takes it', async () => {
    expect(await attempt(times, () => undefined)).toEqual({ inserts: [times], apart: false })
  })

  it('tells months apart by their day in UTC, years included, once a single row was taken', async () => {
    const { inserts, apart } = await attempt(times, (count) => (count > 2 ? unavailable(252) : undefined))
    expect(apart).toBe(true)
    expect(inserts).toEqual([times, [times[0]], [times[0], times[3]], [times[1]], [times[2]]])
  })

  it.each([
    ['not even a single row is taken', times, 252, 2],
    ['the batch has one month only', [times[0], times[0]], 252, 1],
    ['the server is away', times, 210, 1]
  ] as const)('gives up when %s', async (_why, from, code, tries) => {
    const { inserts, apart } = await attempt(from as readonly string[], () => unavailable(code))
    expect(apart).toMatchObject({ details: { code } })
    expect(inserts).toHaveLength(tries)
  })
})
