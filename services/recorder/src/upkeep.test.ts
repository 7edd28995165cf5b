import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { dayMs } from './to-row.ts'
import { keepDays } from './upkeep.ts'

const today = 20_000

describe('keepDays', () => {
  it('makes the days ahead and drops those past the retention every hour, until it is told to end', async () => {
    const clock = createManualClock(today * dayMs)
    const stop = new AbortController()
    const calls: string[] = []
    const failures: unknown[] = []
    let fails = false
    const ended = keepDays({
      days: {
        async ensure(days) {
          calls.push(`make ${[...days].join(' ')}`)
          if (fails) throw new Error('away')
        },
        async dropBefore(day) {
          calls.push(`drop before ${day}`)
          return 3
        }
      },
      retentionDays: 90,
      clock,
      signal: stop.signal,
      onDropped: (count) => calls.push(`dropped ${count}`),
      onFailure: (error) => failures.push(error)
    })
    await clock.advance(0)
    expect(calls.splice(0)).toEqual([
      `make ${today} ${today + 1} ${today + 2}`,
      `drop before ${today - 91}`,
      'dropped 3'
    ])
    fails = true
    await clock.advance(3_600_000)
    expect(calls.splice(0)).toEqual([`make ${today} ${today + 1} ${today + 2}`])
    expect(failures).toHaveLength(1)
    fails = false
    await clock.advance(23 * 3_600_000)
    expect(calls.at(-2)).toBe(`drop before ${today - 90}`)
    stop.abort(new Error('over'))
    await ended
  })
})
