import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createBulkhead } from './bulkhead.ts'

function setup(options: { running: number; queued: number; waitMs?: number }) {
  const clock = createManualClock()
  const bulkhead = createBulkhead({ waitMs: 2_000, clock, ...options })
  const signal = new AbortController().signal
  const task = () => {
    const gate = Promise.withResolvers<string>()
    const state = { started: false, error: undefined as unknown }
    const finished = bulkhead
      .run(async () => {
        state.started = true
        return await gate.promise
      }, signal)
      .catch((error: unknown) => {
        state.error = error
        return 'refused'
      })
    return { state, finished, end: () => gate.resolve('done') }
  }
  return { clock, bulkhead, task }
}

describe('bulkhead', () => {
  it('runs as many at once as it has places, the others in the order they came', async () => {
    const { clock, bulkhead, task } = setup({ running: 1, queued: 2 })
    const [first, second, third] = [task(), task(), task()]
    await clock.advance(0)
    expect([first.state.started, second.state.started, bulkhead.inside, bulkhead.waiting]).toEqual([true, false, 1, 2])
    first.end()
    await clock.advance(0)
    expect([second.state.started, third.state.started]).toEqual([true, false])
    second.end()
    third.end()
    expect(await Promise.all([first.finished, second.finished, third.finished])).toEqual(['done', 'done', 'done'])
    expect([bulkhead.inside, bulkhead.waiting]).toEqual([0, 0])
  })

  it('refuses at once when the queue is full', async () => {
    const { clock, task } = setup({ running: 1, queued: 0 })
    const [first, second] = [task(), task()]
    await clock.advance(0)
    expect(second.state.error).toMatchObject({ code: 'PIPE_CLICKHOUSE_UNAVAILABLE', details: { reason: 'bulkhead' } })
    first.end()
    expect(await first.finished).toBe('done')
  })

  it('refuses who waited too long, and gives the place to who still waits', async () => {
    const { clock, bulkhead, task } = setup({ running: 1, queued: 2, waitMs: 100 })
    const first = task()
    const second = task()
    await clock.advance(60)
    const third = task()
    await clock.advance(50)
    expect([second.state.error === undefined, bulkhead.waiting]).toEqual([false, 1])
    first.end()
    await clock.advance(0)
    expect(third.state.started).toBe(true)
    third.end()
    await third.finished
    expect(bulkhead.inside).toBe(0)
  })

  it('frees its place when the work fails', async () => {
    const { bulkhead } = setup({ running: 1, queued: 0 })
    const signal = new AbortController().signal
    await expect(bulkhead.run(async () => Promise.reject(new Error('boom')), signal)).rejects.toThrow('boom')
    expect(bulkhead.inside).toBe(0)
  })

  it('lets a client that went away leave the queue', async () => {
    const { clock, bulkhead, task } = setup({ running: 1, queued: 1 })
    const first = task()
    const gone = new AbortController()
    const second = bulkhead.run(async () => 'ran', gone.signal).catch((error: unknown) => error)
    await clock.advance(0)
    gone.abort(new Error('client left'))
    expect(await second).toMatchObject({ message: 'client left' })
    expect(bulkhead.waiting).toBe(0)
    first.end()
    await first.finished
  })
})
