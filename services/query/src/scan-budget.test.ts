import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import type { ManualClock } from '@millrace/kernel'
import type { Breaker } from '@millrace/stores/breaker'
import type { SharedBuckets } from '@millrace/stores/shared-buckets'
import { afterTaking } from '@millrace/stores/token-bucket'
import { createScanBudget } from './scan-budget.ts'

const mebi = 1024 ** 2
const rate = { bytesPerSecond: 10 * mebi, burstBytes: 100 * mebi }
const breaker: Breaker = {
  name: 'cache',
  state: 'closed',
  run: (work) => work(new AbortController().signal),
  [Symbol.dispose]: () => {}
}

/** The shared buckets as the script keeps them. */
function sharedBuckets(clock: ManualClock) {
  const full = new Map<string, number>()
  const state = { isAway: false }
  const shared: SharedBuckets = {
    spend: async (spendings) => {
      if (state.isAway) throw new AppError('PIPE_REDIS_UNAVAILABLE', 'down')
      return spendings.map(({ projectId, scope, rate: { eventsPerSecond, burst }, count }) => {
        const nowMs = clock.monotonic()
        const fullAtMs = afterTaking(full.get(`${projectId} ${scope}`) ?? 0, count, { eventsPerSecond, burst }, nowMs)
        full.set(`${projectId} ${scope}`, fullAtMs)
        return Math.ceil(fullAtMs - nowMs)
      })
    }
  }
  return { shared, state }
}

function setup() {
  const clock = createManualClock()
  const { shared, state } = sharedBuckets(clock)
  const process = () => {
    const budget = createScanBudget({ rate, shared, breaker, clock })
    return async (sql: string, bytes: number | undefined, projectId = 'shop'): Promise<unknown> => {
      const admitted = await budget.admit(projectId, sql).catch((error: unknown) => error)
      if (admitted instanceof AppError) return admitted.details
      ;(admitted as Awaited<ReturnType<typeof budget.admit>>).settle(bytes, 0)
      return 'read'
    }
  }
  return { clock, state, process }
}

describe('the bytes that queries may read', () => {
  it('are the burst, then what flows in, and a debt is waited for', async () => {
    const { clock, process } = setup()
    const ask = process()
    expect(await ask('a', 130 * mebi)).toBe('read')
    expect(await ask('b', mebi)).toEqual({
      retryAfterMs: 4_600,
      estimatedBytes: 16 * mebi,
      availableBytes: -30 * mebi,
      ...rate
    })
    expect(await ask('b', mebi, 'blog')).toBe('read')
    await clock.advance(4_600)
    expect(await ask('b', mebi)).toBe('read')
  })

  it('are estimated by what the question read before, and held while it runs', async () => {
    const { clock, process } = setup()
    const ask = process()
    await ask('a', 90 * mebi)
    await clock.advance(60_000)
    // What flows in never exceeds the burst.
    expect(await ask('a', 90 * mebi)).toBe('read')
    expect(await ask('a', 90 * mebi)).toMatchObject({ estimatedBytes: 90 * mebi, retryAfterMs: 8_000 })
    await clock.advance(60_000)
    const budget = createScanBudget({ rate, ...sharedBuckets(clock), breaker, clock })
    const running = await Promise.all(Array.from({ length: 6 }, () => budget.admit('shop', 'x')))
    await expect(budget.admit('shop', 'x')).rejects.toMatchObject({ code: 'PIPE_RATE_LIMITED' })
    for (const each of running) each.settle(0, 0)
    expect(await budget.admit('shop', 'x')).toBeDefined()
  })

  it('are counted by the time where the engine does not say', async () => {
    const { clock, process } = setup()
    const budget = createScanBudget({ rate, ...sharedBuckets(clock), breaker, clock })
    const admitted = await budget.admit('shop', 'x')
    admitted.settle(undefined, 500)
    // 128 MiB are gone of the 100 that there were.
    await expect(budget.admit('shop', 'y')).rejects.toMatchObject({ details: { availableBytes: -28 * mebi } })
    // Nobody said what it reads.
    await expect(budget.admit('shop', 'x')).rejects.toMatchObject({ details: { estimatedBytes: 16 * mebi } })
    expect(await process()('x', undefined)).toBe('read')
  })

  it('are owed for ten seconds at most, by the process alone as by all of them', async () => {
    const { state, process } = setup()
    const ask = process()
    state.isAway = true
    await ask('a', 1024 * mebi * 1024)
    expect(await ask('b', mebi)).toMatchObject({ availableBytes: -100 * mebi, retryAfterMs: 11_600 })
  })

  it('are known by question and project, however long the question', async () => {
    const { clock, process } = setup()
    const ask = process()
    const long = 'x'.repeat(65_536)
    await ask(`${long}1`, 95 * mebi)
    await clock.advance(60_000)
    await ask(`${long}2`, 40 * mebi)
    expect(await ask(`${long}1`, 0)).toMatchObject({ estimatedBytes: 95 * mebi })
    expect(await ask(`${long}1`, 0, 'blog')).toBe('read')
  })

  it('are shared by processes, and kept by each while Redis is away', async () => {
    const { clock, state, process } = setup()
    const [one, two] = [process(), process()]
    await one('a', 100 * mebi)
    expect(await two('b', 1)).toMatchObject({ availableBytes: 0 })
    state.isAway = true
    expect(await one('b', 1)).toMatchObject({ availableBytes: 0 })
    await clock.advance(20_000)
    expect(await two('c', 200 * mebi)).toBe('read')
    expect(await two('d', 1)).toMatchObject({ availableBytes: -100 * mebi })
    expect(await one('d', 1)).toBe('read')
  })

  it('have no limit without a rate', async () => {
    const { clock } = setup()
    const read: number[] = []
    const { shared } = sharedBuckets(clock)
    const budget = createScanBudget({ rate: undefined, shared, breaker, clock, onRead: (bytes) => read.push(bytes) })
    ;(await budget.admit('shop', 'x')).settle(1e15, 0)
    ;(await budget.admit('shop', 'x')).settle(7, 0)
    expect(read).toEqual([1e15, 7])
  })
})
