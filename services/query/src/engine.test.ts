import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import type { Breaker, BreakerState } from '@millrace/stores/breaker'
import { createBulkhead } from './bulkhead.ts'
import { createEngine } from './engine.ts'
import type { QueryRequest, RawAnswer } from './run-query.ts'

function setup(state: BreakerState = 'closed') {
  const clock = createManualClock()
  const breaker: Breaker = {
    name: 'warehouse',
    state,
    run: (work) => work(new AbortController().signal),
    [Symbol.dispose]: () => {}
  }
  const asked: QueryRequest[] = []
  const gates: PromiseWithResolvers<RawAnswer>[] = []
  const rows = new PassThrough()
  const runner = {
    run: (request: QueryRequest) => {
      asked.push(request)
      const gate = Promise.withResolvers<RawAnswer>()
      gates.push(gate)
      return gate.promise
    },
    stream: async () => rows
  }
  const bulkhead = createBulkhead({ running: 1, runningOfProject: 1, queued: 4, waitMs: 60_000, clock })
  const settled: (readonly [bytes: number | undefined, engineMs: number])[] = []
  const scans = { admit: async () => ({ settle: (bytes?: number, ms = NaN) => void settled.push([bytes, ms]) }) }
  const engine = createEngine({ bulkhead, breaker, runner, clock, scans })
  const question = (timeoutMs: number) => ({
    projectId: 'shop',
    queryId: 'q',
    sql: 'SELECT 1',
    params: {},
    format: 'JSONCompact',
    priority: 'normal' as const,
    deadlineMs: clock.monotonic() + timeoutMs,
    signal: new AbortController().signal
  })
  return { clock, bulkhead, engine, asked, gates, rows, question, settled }
}

describe('the engine', () => {
  it('is not waited for while it is known to be away', async () => {
    const { engine, bulkhead, asked, question } = setup('open')
    await expect(engine.ask(question(1_000))).rejects.toMatchObject({ code: 'PIPE_BREAKER_OPEN' })
    expect([asked.length, bulkhead.inside]).toEqual([0, 0])
  })

  it('is not asked any more when the time of a query was over before it had a place', async () => {
    const { clock, engine, asked, gates, question } = setup()
    const first = engine.ask(question(10_000))
    const second = engine.ask(question(2_000)).catch((error: unknown) => error)
    await clock.advance(1_960)
    gates[0]?.resolve({ body: Buffer.from('a'), lease: undefined, work: undefined })
    expect([await first, await second]).toMatchObject([{ body: Buffer.from('a') }, { code: 'PIPE_DEADLINE' }])
    expect(asked.length).toBe(1)
  })

  it('has a place taken for as long as rows are sent', async () => {
    const { engine, bulkhead, rows, question } = setup()
    const stream = await engine.stream(question(1_000), 10)
    expect(bulkhead.inside).toBe(1)
    rows.end('row')
    stream.resume()
    await expect.poll(() => bulkhead.inside).toBe(0)
  })

  it('is charged for its own time: not for the wait before it, nor for a client that reads slowly', async () => {
    const { clock, engine, gates, rows, question, settled } = setup()
    const first = engine.ask(question(10_000)).catch(() => undefined)
    await clock.advance(0)
    const second = engine.ask(question(10_000)).catch(() => undefined)
    await clock.advance(1_000)
    gates[0]?.reject(new Error('broken'))
    await first
    await clock.advance(300)
    gates[1]?.reject(new Error('broken'))
    await second
    const stream = await engine.stream(question(10_000), 10)
    await clock.advance(5_000)
    rows.end()
    stream.resume()
    await expect.poll(() => settled.length).toBe(3)
    expect(settled).toEqual([
      [undefined, 1_000],
      [undefined, 300],
      [undefined, 0]
    ])
  })

  it('is charged for the time that it takes behind the first rows, which a waiting client has', async () => {
    const { clock, engine, rows, question, settled } = setup()
    const stream = await engine.stream(question(10_000), 10)
    stream.resume()
    rows.write('row')
    await expect.poll(() => rows.readableLength).toBe(0)
    await clock.advance(4_000)
    rows.end()
    await expect.poll(() => settled).toEqual([[undefined, 4_000]])
  })

  it('is charged for nothing that it was not asked', async () => {
    const { clock, engine, gates, question, settled } = setup()
    const first = engine.ask(question(10_000))
    await clock.advance(0)
    const second = engine.ask(question(500)).catch((error: unknown) => error)
    await clock.advance(1_000)
    gates[0]?.resolve({ body: Buffer.from('a'), lease: undefined, work: { readRows: 1, readBytes: 7 } })
    await Promise.all([first, second])
    expect(settled).toEqual([
      [7, 1_000],
      [0, 0]
    ])
  })
})
