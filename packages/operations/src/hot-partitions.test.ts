import { describe, expect, test } from 'vitest'
import { hotRule, isCalm, judgeSample, noStreak, stateOf, withSample } from './hot-partitions.ts'
import type { PartitionState } from './hot-partitions.ts'

const lag = (records: number, seconds = 120, consumeRate = 0) => ({ records, seconds, consumeRate })
const streakOf = (states: readonly PartitionState[]) =>
  states.reduce((streak, state) => withSample(streak, state), noStreak)

describe('one sample of a topic', () => {
  test('compares a partition with the mean of the others, not with the mean of all', () => {
    // With two partitions no lag is more than twice the mean of both.
    expect(judgeSample([lag(20_001), lag(10_000)])).toEqual(['hot', 'behind'])
    expect(judgeSample([lag(20_000), lag(10_000)])).toEqual(['behind', 'behind'])
    expect(judgeSample([lag(40_000), lag(10_000), lag(29_998)])).toEqual(['hot', 'behind', 'behind'])
  })

  test('lets the floors decide alone when the others have no lag', () => {
    expect(judgeSample([lag(5_000), lag(0, 0), lag(0, 0)])).toEqual(['hot', 'fine', 'fine'])
    expect(judgeSample([lag(4_999), lag(0, 0), lag(0, 0)])).toEqual(['fine', 'fine', 'fine'])
    expect(judgeSample([lag(5_000)])).toEqual(['behind'])
  })

  test('asks for thirty seconds of what the partition is read at, and for more than a minute', () => {
    expect(judgeSample([lag(29_999, 120, 1_000), lag(0, 0)])).toEqual(['fine', 'fine'])
    expect(judgeSample([lag(30_000, 120, 1_000), lag(0, 0)])).toEqual(['hot', 'fine'])
    expect(judgeSample([lag(30_000, 60), lag(0, 0)])).toEqual(['fine', 'fine'])
    expect(judgeSample([lag(30_000, 61), lag(0, 0)])).toEqual(['hot', 'fine'])
  })

  test('takes off what a sink holds by design', () => {
    expect(judgeSample([lag(90_000, 3_600), lag(0, 0)], hotRule, 3_600)).toEqual(['fine', 'fine'])
    expect(judgeSample([lag(90_000, 3_661), lag(0, 0)], hotRule, 3_600)).toEqual(['hot', 'fine'])
  })
})

describe('the samples of five minutes', () => {
  test('say hot when four of five did', () => {
    const states = (hot: number) =>
      Array.from({ length: 30 }, (_, index): PartitionState => (index < hot ? 'hot' : 'fine'))
    expect(stateOf(streakOf(states(24)))).toBe('hot')
    expect(stateOf(streakOf(states(23)))).toBe('fine')
  })

  test('count a hot sample as behind, too, and say behind when hot is not enough', () => {
    const mixed = Array.from({ length: 30 }, (_, index): PartitionState => (index % 2 === 0 ? 'hot' : 'behind'))
    expect(stateOf(streakOf(mixed))).toBe('behind')
  })

  test('count what was not sampled as fine', () => {
    const hot = streakOf(Array.from({ length: 30 }, (): PartitionState => 'hot'))
    expect(stateOf(withSample(hot, 'hot', 6))).toBe('hot')
    expect(stateOf(withSample(hot, 'hot', 7))).toBe('fine')
    expect(withSample(hot, 'hot', 1_000)).toEqual({ behind: 1, hot: 1 })
  })

  test('are calm when the last minute was', () => {
    const hot = streakOf(['hot'])
    expect(isCalm(streakOf(['hot', 'fine', 'fine', 'fine', 'fine', 'fine']))).toBe(false)
    expect(isCalm(streakOf(['hot', 'fine', 'fine', 'fine', 'fine', 'fine', 'fine']))).toBe(true)
    expect(isCalm(hot)).toBe(false)
  })
})
