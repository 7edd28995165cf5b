import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createByteBudget } from './byte-budget.ts'

function setup(bytes = 100, waitMs = 1_000) {
  const clock = createManualClock()
  const budget = createByteBudget({ bytes, waitMs, clock })
  const reserve = (projectId: string, wanted: number, signal = new AbortController().signal) => {
    const state = { error: undefined as unknown }
    const lease = budget.reserve({ projectId, bytes: wanted, signal }).catch((error: unknown) => {
      state.error = error
      return undefined
    })
    return { state, lease }
  }
  return { clock, budget, reserve }
}

describe('a byte budget', () => {
  it('holds no more than it has, and lets the next one in when bytes come back', async () => {
    const { clock, budget, reserve } = setup()
    const [first] = [reserve('a', 50), reserve('b', 50)]
    const third = reserve('c', 40)
    await clock.advance(0)
    expect(budget.held).toBe(100)
    ;(await first.lease)?.shrink(20)
    expect(budget.held).toBe(70)
    ;(await first.lease)?.release()
    await third.lease
    expect([budget.held, third.state.error]).toEqual([90, undefined])
  })

  it('gives one project half of it at most, unless that is less than one answer', async () => {
    const { clock, budget, reserve } = setup()
    const own = [reserve('a', 50), reserve('a', 10)]
    const other = reserve('b', 50)
    await clock.advance(0)
    expect(budget.held).toBe(100)
    ;(await own[0]?.lease)?.release()
    await own[1]?.lease
    expect(budget.held).toBe(60)
    ;(await own[1]?.lease)?.release()
    ;(await other.lease)?.release()
    const large = reserve('a', 500)
    await large.lease
    expect([budget.held, large.state.error]).toEqual([500, undefined])
  })

  it('counts what is shared until everybody has released it', async () => {
    const { budget, reserve } = setup()
    const lease = await reserve('a', 30).lease
    lease?.share()
    lease?.share()
    lease?.release()
    lease?.release()
    expect(budget.held).toBe(30)
    lease?.release()
    expect(budget.held).toBe(0)
  })

  it('refuses who waited too long, and forgets who went away', async () => {
    const { clock, budget, reserve } = setup()
    const lease = await reserve('a', 100).lease
    const gone = new AbortController()
    const [late, left] = [reserve('b', 10), reserve('b', 10, gone.signal)]
    gone.abort(new Error('client left'))
    await left.lease
    await clock.advance(1_000)
    await late.lease
    expect([late.state.error, left.state.error]).toMatchObject([
      { code: 'PIPE_CLICKHOUSE_UNAVAILABLE', details: { reason: 'bulkhead' } },
      { message: 'client left' }
    ])
    lease?.release()
    expect(budget.held).toBe(0)
  })
})
