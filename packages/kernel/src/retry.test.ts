import { describe, expect, it } from 'vitest'
import { AppError } from './errors.ts'
import { createManualClock } from './manual-clock.ts'
import { backoffMs, retry, withDeadline } from './retry.ts'

const policy = { baseMs: 100, capMs: 1_000, jitter: 0 }
const down = (): AppError => new AppError('PIPE_KAFKA_UNAVAILABLE', 'broker down')

describe('backoffMs', () => {
  it('doubles per attempt up to the cap', () => {
    expect([1, 2, 3, 4, 5, 60].map((attempt) => backoffMs(policy, attempt))).toEqual([100, 200, 400, 800, 1_000, 1_000])
  })

  it('spreads by the jitter on both sides', () => {
    const wide = { ...policy, jitter: 0.5 }
    expect(backoffMs(wide, 1, () => 0)).toBe(50)
    expect(backoffMs(wide, 1, () => 0.999_999)).toBe(150)
  })
})

describe('retry', () => {
  it('repeats a transient failure after the backoff and returns the first success', async () => {
    const clock = createManualClock(0)
    const calledAt: number[] = []
    const result = retry(
      async (attempt) => {
        calledAt.push(clock.now())
        if (attempt < 3) throw down()
        return 'stored'
      },
      { policy, clock, attempts: 5 }
    )
    await clock.advance(1_000)
    expect(await result).toBe('stored')
    expect(calledAt).toEqual([0, 100, 300])
  })

  it('does not repeat anything that waiting cannot heal', async () => {
    let calls = 0
    const work = async (): Promise<never> => {
      calls++
      throw new AppError('PIPE_CLICKHOUSE_REFUSED', 'bad row')
    }
    await expect(retry(work, { policy, clock: createManualClock(), attempts: 5 })).rejects.toThrow('bad row')
    expect(calls).toBe(1)
  })

  it('throws the last error when the attempts are used up', async () => {
    const clock = createManualClock(0)
    const result = expect(retry(async () => Promise.reject(down()), { policy, clock, attempts: 2 })).rejects.toThrow(
      'broker down'
    )
    await clock.advance(5_000)
    await result
    expect(clock.pending()).toBe(0)
  })

  it('stops waiting when the signal aborts', async () => {
    const clock = createManualClock(0)
    const controller = new AbortController()
    const result = retry(async () => Promise.reject(down()), { policy, clock, attempts: 9, signal: controller.signal })
    const seen = expect(result).rejects.toThrow('stopping')
    await clock.advance(50)
    controller.abort(new Error('stopping'))
    await seen
    expect(clock.pending()).toBe(0)
  })
})

describe('withDeadline', () => {
  it('rejects with PIPE_DEADLINE naming the work, and not before', async () => {
    const clock = createManualClock(0)
    const seen: unknown[] = []
    const result = withDeadline(new Promise(() => {}), 100, clock, 'insert').catch((error: unknown) => seen.push(error))
    await clock.advance(99)
    expect(seen).toEqual([])
    await clock.advance(1)
    await result
    expect(seen[0]).toMatchObject({ code: 'PIPE_DEADLINE', message: 'insert did not end within 100 ms' })
  })

  it('leaves no timer behind when the work ends in time', async () => {
    const clock = createManualClock(0)
    expect(await withDeadline(Promise.resolve(7), 100, clock, 'insert')).toBe(7)
    expect(clock.pending()).toBe(0)
  })
})
