import { expect, it } from 'vitest'
import { createStormGuard } from './storm-guard.ts'

const limits = { perMinute: 100, share: 0.01, leastLetters: 50 }

it('admits a hundred letters in a minute and not one more', () => {
  const guard = createStormGuard(limits)
  guard.passed(1_000_000, 1_000)
  for (let second = 0; second < 50; second++) expect(guard.admit(2, second * 1_000)).toBeUndefined()
  expect(guard.admit(1, 50_000)).toEqual({ letters: 101, records: 1_000_000, limit: 'perMinute', sinceMs: 50_000 })
  expect(guard.admit(2, 60_000)).toBeUndefined()
})

it('stops at more than one percent of the records, from fifty letters on', () => {
  const guard = createStormGuard(limits)
  guard.passed(4_900, 0)
  expect(guard.admit(49, 0)).toBeUndefined()
  expect(guard.admit(1, 0)).toEqual({ letters: 50, records: 4_900, limit: 'share', sinceMs: 0 })
  guard.passed(100, 0)
  expect(guard.admit(1, 0)).toBeUndefined()
})

it('lets few letters of few records through: there is no share to speak of', () => {
  const guard = createStormGuard(limits)
  guard.passed(60, 0)
  expect(guard.admit(30, 0)).toBeUndefined()
})

it('takes a batch of which nothing is known yet for its letters', () => {
  expect(createStormGuard(limits).admit(80, 0)).toEqual({ letters: 80, records: 80, limit: 'share', sinceMs: 0 })
})

it('does not count letters that it did not admit, and forgets when it is told to', () => {
  const guard = createStormGuard(limits)
  expect(guard.admit(500, 0)?.letters).toBe(500)
  expect(guard.admit(500, 0)?.letters).toBe(500)
  expect(guard.admit(40, 0)).toBeUndefined()
  guard.reset()
  expect(guard.admit(49, 0)).toBeUndefined()
})

it('does nothing when it is off', () => {
  expect(createStormGuard({ ...limits, perMinute: 0 }).admit(1_000_000, 0)).toBeUndefined()
})
