import { describe, expect, it } from 'vitest'
import { isRefreshDue, untilOf } from './freshness.ts'

const times = { freshOpenMs: 30, freshClosedMs: 600, staleOpenMs: 300, ttlMs: 3_600, mistakeMs: 40 }

describe('freshness', () => {
  it.each([
    ['closed', { freshUntilMs: 1_600, staleUntilMs: 4_600 }],
    ['open', { freshUntilMs: 1_030, staleUntilMs: 1_330 }],
    ['mistake', { freshUntilMs: 1_040, staleUntilMs: 1_040 }]
  ] as const)('of what is %s', (kept, until) => {
    expect(untilOf(kept, 1_000, times)).toEqual(until)
  })

  it('never outlives the hard end', () => {
    expect(untilOf('closed', 0, { ...times, freshClosedMs: 9_999 })).toEqual({
      freshUntilMs: 3_600,
      staleUntilMs: 3_600
    })
    expect(untilOf('open', 0, { ...times, staleOpenMs: 9_999 })).toEqual({ freshUntilMs: 30, staleUntilMs: 3_600 })
  })

  it('is renewed early the sooner the dearer it is, and at its end in any case', () => {
    const entry = { costMs: 100, freshUntilMs: 1_000 }
    expect(isRefreshDue(entry, 1_000, 0)).toBe(true)
    expect(isRefreshDue(entry, 0, 0.999)).toBe(false)
    expect(isRefreshDue(entry, 900, 0.64)).toBe(true)
    expect(isRefreshDue(entry, 900, 0.62)).toBe(false)
    expect(isRefreshDue({ ...entry, costMs: 10 }, 900, 0.64)).toBe(false)
  })
})
