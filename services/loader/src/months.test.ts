import { expect, it } from 'vitest'
import { byMonth } from './months.ts'

const entry = (at: string) => ({
  projectId: 'p',
  userId: '',
  anonymousId: '',
  timestampMs: Date.parse(at),
  event: at,
  link: undefined
})

it('tells months apart by their day in UTC, years included', () => {
  const times = ['2026-01-31T23:59:59.999Z', '2026-02-01T00:00:00Z', '2025-01-15T00:00:00Z', '2026-01-01T00:00:00Z']
  expect(byMonth(times.map(entry)).map((group) => group.map(({ event }) => event))).toEqual([
    [times[0], times[3]],
    [times[1]],
    [times[2]]
  ])
})
