import { describe, expect, it } from 'vitest'
import { createBreathe } from './breathe.ts'

describe('a pause between pieces of work', () => {
  it('lets others have a turn, and then not again before the time is over', async () => {
    let nowMs = 1_000
    let others = 0
    const breathe = createBreathe(10, () => nowMs)
    setImmediate(() => others++)
    await breathe()
    expect(others).toBe(1)
    nowMs += 9
    expect(breathe()).toBeUndefined()
    nowMs += 1
    setImmediate(() => others++)
    await breathe()
    expect(others).toBe(2)
  })
})
