import type { MetricMessage } from '@millrace/contracts'
import { describe, expect, it } from 'vitest'
import { finalsOf, missingFinals } from './finals.ts'

const value = (revision: readonly [number, number], count: number, final = true): MetricMessage => ({
  project: 'p',
  metric: 'events',
  kind: 'count',
  granularity: '1m',
  timestamp: 60_000,
  value: count,
  count,
  capped: false,
  revision,
  final
})
const of = (...metrics: readonly MetricMessage[]) => finalsOf({ metrics, sessions: [] })

describe('missingFinals', () => {
  it('takes the same value of a higher epoch for the same', () => {
    expect(missingFinals(of(value([1, 7], 3)), of(value([1, 7], 3), value([2, 7], 3)))).toEqual([])
  })

  it('names what says something else, and what is not final any more', () => {
    expect(missingFinals(of(value([1, 7], 3)), of(value([2, 9], 4), value([1, 7], 3)))).toHaveLength(1)
    expect(missingFinals(of(value([1, 7], 3)), of(value([2, 6], 3, false)))[0]).toContain('now not there')
  })

  it('looks at final values alone', () => {
    expect(of(value([1, 6], 3, false)).values.size).toBe(0)
  })
})
