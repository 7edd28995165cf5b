import { PassThrough } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import type { StreamedQuery } from '@millrace/stores/clickhouse'
import { createByteBudget } from './byte-budget.ts'
import { createQueryRunner } from './run-query.ts'

const limits = { maxResultRows: 10, maxResultBytes: 1e6, maxReadRows: 10, maxMemoryBytes: 1e6, maxThreads: 1 }

/** An engine that never answers, or begins to and then says nothing; a service that gives ten seconds. */
function setup(begins = false) {
  const clock = createManualClock()
  const killed: string[] = []
  const clickhouse = {
    queryStream: async ({ signal }: StreamedQuery) => {
      if (begins) return new PassThrough()
      return await new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    },
    kill: async (queryId: string) => void killed.push(queryId)
  }
  const runner = createQueryRunner(
    clickhouse,
    limits,
    clock,
    createByteBudget({ bytes: 1e6, waitMs: 0, clock }),
    10_000
  )
  const request = (timeoutMs: number) => ({
    projectId: 'shop',
    queryId: 'q1',
    sql: 'SELECT 1',
    params: {},
    format: 'JSONCompact',
    timeoutMs,
    signal: new AbortController().signal
  })
  return { clock, runner, request, killed }
}

describe('silence of the engine', () => {
  it.each([
    [10_000, 'PIPE_CLICKHOUSE_UNAVAILABLE'],
    // It waited two seconds for a place.
    [7_990, 'PIPE_CLICKHOUSE_UNAVAILABLE'],
    [7_499, 'PIPE_DEADLINE'],
    [50, 'PIPE_DEADLINE']
  ])('beyond %i ms of ten seconds is %s, and the query is killed', async (timeoutMs, code) => {
    const { clock, runner, request, killed } = setup()
    const failed = runner.run(request(timeoutMs)).catch((error: unknown) => error)
    await clock.advance(timeoutMs + 1_500)
    expect(await failed).toMatchObject({ code })
    await clock.advance(1_000)
    expect(killed).toEqual(['q1'])
  })

  it.each([
    [10_000, 'PIPE_CLICKHOUSE_UNAVAILABLE'],
    [50, 'PIPE_DEADLINE']
  ])('among rows beyond %i ms ends them with %s', async (timeoutMs, code) => {
    const { clock, runner, request } = setup(true)
    const stream = await runner.stream(request(timeoutMs), 10)
    onTestFinished(() => void stream.destroy())
    const ended = new Promise((resolve) => stream.once('error', resolve))
    await clock.advance(timeoutMs + 1_500)
    expect(await ended).toMatchObject({ code })
  })
})
