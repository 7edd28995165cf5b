import { expect, test } from 'vitest'
import { fastestOf } from './fastest-of.ts'

test('the first run that is fast enough is the last one', async () => {
  const times = [700, 300, 100]
  expect(await fastestOf(5, 500, (index) => Promise.resolve(times[index] ?? 0))).toBe(300)
})

test('runs that are all too slow give the fastest of them', async () => {
  const times = [700, 600, 800, 1]
  expect(await fastestOf(3, 500, (index) => Promise.resolve(times[index] ?? 0))).toBe(600)
})
