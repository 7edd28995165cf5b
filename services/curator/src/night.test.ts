import { expect, it } from 'vitest'
import { lastPassMs } from './night.ts'

const hourMs = 3_600_000

it('a pass is due once a day, some time after midnight', () => {
  const dayMs = 1_000 * 24 * hourMs
  expect(lastPassMs(dayMs + 3 * hourMs, 3 * hourMs)).toBe(dayMs + 3 * hourMs)
  expect(lastPassMs(dayMs + 3 * hourMs - 1, 3 * hourMs)).toBe(dayMs - 21 * hourMs)
  expect(lastPassMs(dayMs + 23 * hourMs, 0)).toBe(dayMs)
})
