import { createManualClock } from '@millrace/kernel'
import { describe, expect, it } from 'vitest'
import { eventually } from './eventually.ts'

describe('eventually', () => {
  it('returns the first value that is neither false nor undefined', async () => {
    const clock = createManualClock()
    const answers = [false, undefined, 0]
    let asked = 0
    const waiting = eventually('an answer', () => answers[asked++], { clock, intervalMs: 10 })
    await clock.advance(100)
    expect(await waiting).toBe(0)
    expect(asked).toBe(3)
  })

  it('says what was awaited and why the last check failed', async () => {
    const clock = createManualClock()
    const waiting = eventually('the row', () => Promise.reject(new Error('no row')), { clock, timeoutMs: 100 })
    const failed = expect(waiting).rejects.toThrow('not within 100 ms: the row: no row')
    await clock.advance(200)
    await failed
  })

  it('gives up at the deadline, not before and not after', async () => {
    const clock = createManualClock()
    let asked = 0
    const waiting = eventually('never', () => void asked++, { clock, timeoutMs: 100, intervalMs: 50 })
    const failed = expect(waiting).rejects.toThrow('not within 100 ms: never')
    await clock.advance(1_000)
    await failed
    expect(asked).toBe(3)
  })
})
