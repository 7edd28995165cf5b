import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { AppError } from '@millrace/kernel'
import { createBreaker } from './breaker.ts'
import type { BreakerOptions } from './breaker.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const away = new AppError('PIPE_REDIS_UNAVAILABLE', 'away')
const refused = new AppError('PIPE_REDIS_REFUSED', 'wrong type')

function setup(options: Partial<BreakerOptions> = {}) {
  const startMs = Date.now()
  const changes: [second: number, state: string][] = []
  const outcomes: string[] = []
  const breaker = createBreaker({
    name: 'redis',
    judge: (error) => (error === away ? 'failure' : error === refused ? 'answer' : 'nothing'),
    onChange: (state) => changes.push([(Date.now() - startMs) / 1_000, state]),
    onCall: (outcome) => outcomes.push(outcome),
    ...options
  })
  let calls = 0
  const fire = (error?: unknown): Promise<unknown> =>
    breaker
      .run(async () => {
        calls++
        if (error !== undefined) throw error
        return 'value'
      })
      .catch((thrown: unknown) => (thrown instanceof AppError ? thrown.code : thrown))
  const fail = async (times: number): Promise<void> => {
    for (let call = 0; call < times; call++) await fire(away)
  }
  return { breaker, changes, outcomes, fire, fail, calls: () => calls }
}

describe('breaker', () => {
  it('opens at half of twenty calls, probes once after 30 s and closes, to the second', async () => {
    const { breaker, changes, fire, fail, calls } = setup()
    for (let call = 0; call < 10; call++) await fire()
    await fail(9)
    expect(breaker.state).toBe('closed')
    await fail(1)
    expect([breaker.state, changes]).toEqual(['open', [[0, 'open']]])
    await vi.advanceTimersByTimeAsync(29_999)
    expect([await fire(), breaker.state, calls()]).toEqual(['PIPE_BREAKER_OPEN', 'open', 20])
    await vi.advanceTimersByTimeAsync(1)
    expect(breaker.state).toBe('half-open')
    const gate = Promise.withResolvers<string>()
    const probe = breaker.run(() => gate.promise)
    const beside = await Promise.all(Array.from({ length: 50 }, () => fire()))
    expect([new Set(beside), calls()]).toEqual([new Set(['PIPE_BREAKER_OPEN']), 20])
    gate.resolve('well')
    expect([await probe, breaker.state]).toEqual(['well', 'closed'])
    expect(changes).toEqual([
      [0, 'open'],
      [30, 'half-open'],
      [30, 'closed']
    ])
  })

  it('is open for another 30 s when the probe fails', async () => {
    const { changes, fail } = setup()
    await fail(20)
    await vi.advanceTimersByTimeAsync(32_000)
    await fail(1)
    await vi.advanceTimersByTimeAsync(31_000)
    expect(changes).toEqual([
      [0, 'open'],
      [30, 'half-open'],
      [32, 'open'],
      [62, 'half-open']
    ])
  })

  it('remembers nothing of before once it has closed: twenty failures open it again, and not fewer', async () => {
    const { breaker, fire, fail } = setup()
    await fail(20)
    for (let call = 0; call < 1_000; call++) await fire()
    await vi.advanceTimersByTimeAsync(30_000)
    await fire()
    await fail(19)
    expect(breaker.state).toBe('closed')
    await fail(1)
    expect(breaker.state).toBe('open')
  })

  it('forgets what is older than a minute', async () => {
    const { breaker, fail } = setup()
    await fail(19)
    await vi.advanceTimersByTimeAsync(61_000)
    await fail(19)
    expect(breaker.state).toBe('closed')
  })

  it('takes an error that is no failure for an answer, which also closes it', async () => {
    const { breaker, fire, fail, outcomes } = setup()
    for (let call = 0; call < 100; call++) expect(await fire(refused)).toBe('PIPE_REDIS_REFUSED')
    expect([breaker.state, new Set(outcomes)]).toEqual(['closed', new Set(['success'])])
    await fail(200)
    expect(breaker.state).toBe('open')
    await vi.advanceTimersByTimeAsync(30_000)
    await fire(refused)
    expect(breaker.state).toBe('closed')
  })

  it('opens over calls that fail, however many callers give up beside them', async () => {
    const { breaker, fire, fail, outcomes } = setup()
    const gone = new AppError('PIPE_DEADLINE', 'gone')
    for (let call = 0; call < 500; call++) await fire(gone)
    await fail(19)
    expect(breaker.state).toBe('closed')
    await fail(1)
    expect(breaker.state).toBe('open')
    expect(outcomes.filter((outcome) => outcome === 'gone')).toHaveLength(500)
  })

  it('does not count a call of before it closed anew', async () => {
    const { breaker, fire, fail } = setup({ timeoutMs: false, volumeThreshold: 1 })
    const old = Promise.withResolvers<never>()
    const asked = breaker.run(() => old.promise).catch((error: unknown) => error)
    await fail(1)
    await vi.advanceTimersByTimeAsync(30_000)
    await fire()
    expect(breaker.state).toBe('closed')
    old.reject(away)
    expect([await asked, breaker.state]).toEqual([away, 'closed'])
  })

  it('is neither opened nor closed by callers that gave up', async () => {
    const { breaker, fire, fail } = setup()
    const gone = new AppError('PIPE_DEADLINE', 'gone')
    for (let call = 0; call < 50; call++) await fire(gone)
    expect(breaker.state).toBe('closed')
    await fail(100)
    await vi.advanceTimersByTimeAsync(30_000)
    await fire(gone)
    expect(breaker.state).toBe('half-open')
  })

  it('is probed by the next call when the caller of the probe gave up, by one at a time', async () => {
    const { breaker, changes, outcomes, fire, fail, calls } = setup({ timeoutMs: false })
    const gone = new AppError('PIPE_DEADLINE', 'gone')
    await fail(20)
    await vi.advanceTimersByTimeAsync(30_000)
    expect(await fire(gone)).toBe('PIPE_DEADLINE')
    const gate = Promise.withResolvers<never>()
    const probe = breaker.run(() => gate.promise).catch((error: unknown) => error)
    expect([await fire(), calls()]).toEqual(['PIPE_BREAKER_OPEN', 21])
    gate.reject(gone)
    expect([await probe, breaker.state, await fire(), breaker.state]).toEqual([gone, 'half-open', 'value', 'closed'])
    await fail(20)
    await vi.advanceTimersByTimeAsync(30_000)
    await fire(gone)
    await fail(1)
    expect([breaker.state, await fire()]).toEqual(['open', 'PIPE_BREAKER_OPEN'])
    await vi.advanceTimersByTimeAsync(30_000)
    expect(changes.map(([, state]) => state).join(' ')).toBe('open half-open closed open half-open open half-open')
    expect(outcomes.filter((outcome) => outcome === 'gone')).toHaveLength(3)
  })

  it('is open for another 30 s when the callers of probes gave up after three seconds in all, and not before', async () => {
    const { breaker, changes, outcomes, fire, fail } = setup({ timeoutMs: false })
    const gone = new AppError('PIPE_DEADLINE', 'gone')
    const giveUpAfter = async (ms: number): Promise<void> => {
      const caller = Promise.withResolvers<never>()
      const probe = breaker.run(() => caller.promise).catch((error: unknown) => error)
      await vi.advanceTimersByTimeAsync(ms)
      caller.reject(gone)
      expect(await probe).toBe(gone)
    }
    await fail(20)
    await vi.advanceTimersByTimeAsync(30_000)
    await giveUpAfter(2_999)
    expect(breaker.state).toBe('half-open')
    await giveUpAfter(1)
    expect([breaker.state, await fire()]).toEqual(['open', 'PIPE_BREAKER_OPEN'])
    await vi.advanceTimersByTimeAsync(30_000)
    // Those of before do not count any more.
    await giveUpAfter(2_999)
    expect(breaker.state).toBe('half-open')
    await fire()
    await fail(20)
    await vi.advanceTimersByTimeAsync(30_000)
    await giveUpAfter(2_999)
    expect(breaker.state).toBe('half-open')
    await giveUpAfter(8_000)
    expect(changes.map(([second, state]) => `${Math.floor(second)} ${state}`).slice(0, 5)).toEqual([
      '0 open',
      '30 half-open',
      '33 open',
      '63 half-open',
      '65 closed'
    ])
    expect(breaker.state).toBe('open')
    expect(new Set(outcomes.filter((outcome) => outcome !== 'failure' && outcome !== 'refused'))).toEqual(
      new Set(['gone', 'success'])
    )
  })

  it('is not closed by a call of before it opened whose caller gives up while it is probed', async () => {
    const { breaker, fail } = setup({ timeoutMs: false })
    const gone = Promise.withResolvers<never>()
    const old = breaker.run(() => gone.promise).catch((error: unknown) => error)
    await fail(20)
    await vi.advanceTimersByTimeAsync(30_000)
    expect(breaker.state).toBe('half-open')
    gone.reject(new AppError('PIPE_DEADLINE', 'gone'))
    expect(await old).toMatchObject({ code: 'PIPE_DEADLINE' })
    expect(breaker.state).not.toBe('closed')
  })

  it('ends a call that takes too long, and that call alone', async () => {
    const { breaker, outcomes } = setup({ timeoutMs: 1_000 })
    const signals: AbortSignal[] = []
    const hang = (): Promise<unknown> =>
      breaker.run((signal) => {
        signals.push(signal)
        return new Promise(() => {})
      })
    const first = hang().catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(500)
    const second = hang().catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(500)
    expect(await first).toMatchObject({ code: 'PIPE_DEADLINE' })
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false])
    await vi.advanceTimersByTimeAsync(500)
    await second
    expect([signals[1]?.aborted, outcomes]).toEqual([true, ['timeout', 'timeout']])
  })

  it('refuses everything once it is disposed of', async () => {
    const { breaker, fire } = setup()
    breaker[Symbol.dispose]()
    expect(await fire()).toBe('PIPE_BREAKER_OPEN')
    expect(vi.getTimerCount()).toBe(0)
  })
})
