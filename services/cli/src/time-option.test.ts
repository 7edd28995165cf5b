import { describe, expect, it } from 'vitest'
import { timeOf } from './time-option.ts'

describe('a time as an option', () => {
  it('is a day, a time with its zone, or so long ago', () => {
    expect(timeOf('--from', '2026-01-31')).toBe(Date.UTC(2026, 0, 31))
    expect(timeOf('--from', '2026-01-31T10:00:00Z')).toBe(Date.UTC(2026, 0, 31, 10))
    expect(timeOf('--from', '2026-01-31T10:00+01:00')).toBe(Date.UTC(2026, 0, 31, 9))
    expect(timeOf('--from', '90m', 6_000_000)).toBe(600_000)
  })

  it.each(['yesterday', '2026-01-31T10:00:00', '2026-13-01', '2h', ''])('is not %j', (text) => {
    expect(() => timeOf('--from', text)).toThrow('--from is a time such as')
  })
})
