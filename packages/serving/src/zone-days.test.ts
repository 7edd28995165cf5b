import { describe, expect, it } from 'vitest'
import { daysOfZone, startOfDate } from './zone-days.ts'

const hourMs = 3_600_000
const shown = (zone: string, from: string, to: string) =>
  daysOfZone(zone, Date.parse(from), Date.parse(to)).map(({ startMs, endMs }) => [
    new Date(startMs).toISOString().slice(0, 16),
    (endMs - startMs) / hourMs
  ])

describe('days of a zone', () => {
  it('begin at its midnight, and have 23 or 25 hours when its clocks are changed', () => {
    expect(shown('Europe/Berlin', '2026-03-28T12:00:00Z', '2026-03-30T00:00:00Z')).toEqual([
      ['2026-03-27T23:00', 24],
      ['2026-03-28T23:00', 23],
      ['2026-03-29T22:00', 24]
    ])
    expect(shown('America/New_York', '2026-11-01T12:00:00Z', '2026-11-02T00:00:00Z')).toEqual([
      ['2026-11-01T04:00', 25]
    ])
  })

  it('need not begin at a full hour, nor at midnight', () => {
    expect(shown('Asia/Kathmandu', '2026-01-01T12:00:00Z', '2026-01-01T13:00:00Z')).toEqual([['2025-12-31T18:15', 24]])
    // In 2024 clocks in Cairo went from 0:00 to 1:00.
    expect(shown('Africa/Cairo', '2024-04-26T10:00:00Z', '2024-04-26T11:00:00Z')).toEqual([['2024-04-25T22:00', 23]])
    expect(shown('UTC', '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z')).toEqual([['2026-01-01T00:00', 24]])
  })

  it('end, where clocks went back by a day, too', () => {
    // Kwajalein crossed the date line: its 30 September 1969 came twice.
    const days = daysOfZone('Pacific/Kwajalein', Date.UTC(1969, 8, 29), Date.UTC(1969, 9, 3))
    expect(days.length).toBeGreaterThanOrEqual(3)
    expect(days.length).toBeLessThanOrEqual(6)
    expect(days.every(({ startMs, endMs }) => endMs > startMs)).toBe(true)
  })

  it.each(['0000-01-01', '0099-06-01', '1867-10-18', '1969-12-31', '2026-02-31', '2026-13-01'])(
    'have no start for %s',
    (date) => {
      expect(startOfDate('America/Sitka', date)).toBeUndefined()
    }
  )

  it.each([
    ['Pacific/Auckland', '2026-01-30T11:00:00.000Z'],
    ['Pacific/Kiritimati', '2026-01-30T10:00:00.000Z'],
    ['America/Los_Angeles', '2026-01-31T08:00:00.000Z']
  ])('begin in %s where its date does', (zone, start) => {
    expect(new Date(startOfDate(zone, '2026-01-31') ?? 0).toISOString()).toBe(start)
  })
})
