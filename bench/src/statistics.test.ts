import { describe, expect, it } from 'vitest'
import { quantile, ratios, shuffled, summarise } from './statistics.ts'

describe('quantile', () => {
  it('is the middle value, or the middle between two', () => {
    expect(quantile([3, 1, 2], 0.5)).toBe(2)
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5)
    expect(quantile([7], 0.99)).toBe(7)
  })

  it('has no value where there are none', () => {
    expect(quantile([], 0.5)).toBeNaN()
  })
})

describe('summarise', () => {
  it('gives quartiles by interpolation, untouched by one wild value', () => {
    expect(summarise([10, 11, 12, 13, 1_000])).toEqual({ count: 5, q1: 11, median: 12, q3: 13 })
    expect(summarise([1, 2, 3, 4])).toEqual({ count: 4, q1: 1.75, median: 2.5, q3: 3.25 })
  })
})

describe('ratios', () => {
  it('divides round by round, so a slow round slows both sides alike', () => {
    expect(ratios([10, 5, 20], [20, 10, 40])).toEqual([0.5, 0.5, 0.5])
  })

  it('refuses rounds that do not match', () => {
    expect(() => ratios([1], [1, 2])).toThrow('1 rounds against 2')
  })
})

describe('shuffled', () => {
  it('keeps every item and follows the random numbers', () => {
    const numbers = [0.9, 0.1, 0.5]
    let next = 0
    expect(shuffled(['a', 'b', 'c'], () => numbers[next++] ?? 0)).toEqual(['b', 'c', 'a'])
  })
})
