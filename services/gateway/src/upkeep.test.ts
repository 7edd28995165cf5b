import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { keepGauges, verifyLayoutWhenReachable } from './upkeep.ts'

describe('verifyLayoutWhenReachable', () => {
  it('waits for Redis and then is done', async () => {
    const clock = createManualClock()
    const answers = [new AppError('PIPE_REDIS_UNAVAILABLE', 'down'), undefined]
    let asked = 0
    const verifyLayout = async (): Promise<void> => {
      const answer = answers[asked++]
      if (answer !== undefined) throw answer
    }
    const done = verifyLayoutWhenReachable({ verifyLayout }, clock, new AbortController().signal)
    await clock.advance(999)
    expect(asked).toBe(1)
    await clock.advance(1)
    await done
    expect(asked).toBe(2)
  })

  it('fails when the marks were written with other settings', async () => {
    const verifyLayout = async (): Promise<void> => {
      throw new AppError('PIPE_CONFIG_INVALID', 'other shards')
    }
    const done = verifyLayoutWhenReachable({ verifyLayout }, createManualClock(), new AbortController().signal)
    await expect(done).rejects.toMatchObject({ code: 'PIPE_CONFIG_INVALID' })
  })

  it('ends with the signal', async () => {
    const clock = createManualClock()
    const stop = new AbortController()
    const verifyLayout = () => Promise.reject(new AppError('PIPE_REDIS_UNAVAILABLE', 'down'))
    const done = verifyLayoutWhenReachable({ verifyLayout }, clock, stop.signal)
    await clock.advance(10)
    stop.abort(new Error('stop'))
    await expect(done).resolves.toBeUndefined()
  })
})

describe('keepGauges', () => {
  it('reads once a period, and a last time when it is stopped', async () => {
    const clock = createManualClock()
    const stop = new AbortController()
    let reads = 0
    const done = keepGauges(() => reads++, clock, stop.signal)
    await clock.advance(25_000)
    expect(reads).toBe(2)
    stop.abort(new Error('stop'))
    await done
    expect(reads).toBe(3)
  })
})
