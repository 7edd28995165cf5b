import { describe, expect, it } from 'vitest'
import { createCounters } from './counters.ts'

describe('createCounters', () => {
  it('names what never happened', () => {
    const counters = createCounters(['killed', 'restarted'])
    counters.count('killed')
    counters.count('killed', 2)
    expect(counters.values()).toEqual({ killed: 3, restarted: 0 })
    expect(counters.missing()).toEqual(['restarted'])
    counters.count('restarted', 0)
    expect(counters.missing()).toEqual(['restarted'])
  })

  it('refuses a counter that was not declared', () => {
    expect(() => createCounters([]).count('typo')).toThrow(RangeError)
  })
})
