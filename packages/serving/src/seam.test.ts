import { describe, expect, it } from 'vitest'
import { absentWindow, countStarts, liveFrom, startsIn } from './seam.ts'

const minute = 60_000
const hour = 60 * minute
const noon = Date.UTC(2026, 5, 1, 12)

describe('the seam between live state and warehouse', () => {
  it('lies where windows may be deleted: 2 hours after minutes end, 26 hours after hours end', () => {
    const read = { epoch: 1, completeFromMs: 0, clockMs: noon }
    // The minute that began at 09:59 ended at 10:00, two hours ago.
    expect(liveFrom(read, '1m', 0)).toBe(noon - 2 * hour)
    expect(liveFrom(read, '1h', 0)).toBe(noon - 26 * hour)
  })

  it('lies where the epoch was seen whole, or where the metric began to count', () => {
    const read = { epoch: 2, completeFromMs: noon - hour, clockMs: noon }
    expect(liveFrom(read, '1m', 0)).toBe(noon - hour)
    expect(liveFrom(read, '1h', noon + hour)).toBe(noon + hour)
  })

  it('is nowhere without a live state, and at the beginning when nothing is known of the time', () => {
    expect(liveFrom({ epoch: 0, completeFromMs: 0, clockMs: noon }, '1m', 0)).toBe(Infinity)
    expect(liveFrom({ epoch: 1, completeFromMs: 0, clockMs: -1 }, '1m', 0)).toBe(0)
  })

  it('takes a window that is not there for zero only as far as the log was read', () => {
    expect(absentWindow(noon - hour, hour, noon)).toBe('zero')
    expect(absentWindow(noon - hour + 1, hour, noon)).toBe('zero-so-far')
    expect(absentWindow(noon, hour, noon)).toBe('zero-so-far')
    expect(absentWindow(noon + 1, hour, noon)).toBe('unknown')
    expect(absentWindow(noon, hour, -1)).toBe('unknown')
  })

  it('asks for windows that begin in the span, and for none of the future', () => {
    expect(startsIn(noon, noon + 3 * minute, minute, noon + hour)).toEqual([noon, noon + minute, noon + 2 * minute])
    expect(startsIn(noon + 1, noon + 2 * minute, minute, noon + hour)).toEqual([noon + minute])
    expect(startsIn(noon, noon + hour, minute, noon + minute)).toEqual([noon, noon + minute])
    expect(startsIn(noon, noon - hour, minute, noon)).toEqual([])
    expect(countStarts(noon, noon + hour, minute, noon + minute)).toBe(2)
  })
})
