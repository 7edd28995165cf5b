import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { createTimeText } from './time-text.ts'

it('writes a time as Date does, whatever it wrote before', () => {
  const text = createTimeText()
  const time = fc.oneof(
    fc.integer({ min: 0, max: Date.UTC(2100, 0, 1) - 1 }),
    fc.constantFrom(0, 86_399_999, 86_400_000, Date.UTC(2024, 1, 29, 23, 59, 59, 999), Date.UTC(2099, 11, 31))
  )
  fc.assert(
    fc.property(time, (ms) => {
      expect(text(ms)).toBe(new Date(ms).toISOString())
    })
  )
})

it('writes times of more days than it remembers', () => {
  const text = createTimeText()
  for (let day = 0; day < 2_500; day++) expect(text(day * 86_400_000)).toBe(new Date(day * 86_400_000).toISOString())
})
