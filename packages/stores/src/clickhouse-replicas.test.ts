import { PassThrough } from 'node:stream'
import type { Readable } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { createClickhouseReplicas } from './clickhouse-replicas.ts'
import type { ClickhouseReader } from './clickhouse-replicas.ts'
import { replicaMetrics } from './metrics.ts'

type Fault = { readonly code?: number; readonly errno?: string } | 'hangs' | undefined

function unavailable(details: Record<string, string | number>): AppError {
  return new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'no', { details })
}

/** Servers that answer with their names; `fault` is of queries, `sick` of checks. */
function setup(count = 2) {
  const clock = createManualClock()
  const asked: string[] = []
  const killed: string[] = []
  const servers = Array.from({ length: count }, (_, index) => ({
    name: String(index),
    fault: undefined as Fault,
    sick: undefined as Fault,
    waiting: [] as (() => void)[],
    holds: false
  }))
  const fail = async (fault: Fault): Promise<void> => {
    if (fault === 'hangs') return await new Promise<never>(() => undefined)
    if (fault !== undefined) throw unavailable(fault)
  }
  const readers = servers.map((server): ClickhouseReader => {
    const answer = async (): Promise<Buffer> => {
      asked.push(server.name)
      await fail(server.fault)
      if (server.holds) await new Promise<void>((resolve) => server.waiting.push(resolve))
      return Buffer.from(server.name)
    }
    return {
      database: 'app',
      queryRaw: answer,
      queryStream: async () => {
        await answer()
        return new PassThrough()
      },
      rows: async <R>() => [{ name: (await answer()).toString() }] as R[],
      kill: async (queryId) => void killed.push(`${server.name}:${queryId}`),
      ping: () => fail(server.sick),
      [Symbol.asyncDispose]: async () => undefined
    }
  })
  const registry = createRegistry()
  const metrics = bindMetrics(replicaMetrics, registry)
  const reader = createClickhouseReplicas(readers, { clock, log: createSilentLogger(), metrics })
  onTestFinished(() => reader[Symbol.asyncDispose]())
  const query = { sql: 'SELECT 1', format: 'JSON', maxBytes: 10 }
  const who = async (queryId?: string): Promise<string> =>
    (await reader.queryRaw({ ...query, ...(queryId === undefined ? {} : { queryId }) })).toString()
  const stream = (): Promise<Readable> => reader.queryStream(query)
  const series = async (name: string): Promise<readonly string[]> =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith(`${name}{`))
  const [first, second] = servers
  if (first === undefined || second === undefined) throw new Error('two servers')
  return { clock, reader, who, stream, series, asked, killed, first, second }
}

describe('createClickhouseReplicas', () => {
  it('asks the server with the fewest under way, in turn among equals', async () => {
    const { who, stream, first } = setup()
    expect([await who(), await who(), await who()]).toEqual(['0', '1', '0'])
    expect(await who()).toBe('1')
    first.holds = true
    const held = who()
    expect([await who(), await who(), await who()]).toEqual(['1', '1', '1'])
    first.holds = false
    for (const go of first.waiting) go()
    expect(await held).toBe('0')
    const rows = await stream()
    const idle = await who()
    expect([await who(), await who()]).toEqual([idle, idle])
    rows.destroy()
    await new Promise((resolve) => rows.once('close', resolve))
    expect(new Set([await who(), await who()])).toEqual(new Set(['0', '1']))
  })

  it.each([
    ['nobody listens', { errno: 'ECONNREFUSED' }, ['0', '1', '1']],
    ['it does not know the user', { code: 516 }, ['0', '1', '1']],
    ['it has too many queries now', { code: 202 }, ['0', '1', '0', '1']]
  ])('asks another one when %s', async (_what, fault, order) => {
    const { who, first, asked } = setup()
    first.fault = fault
    expect([await who(), await who()]).toEqual(['1', '1'])
    expect(asked).toEqual(order)
  })

  it.each([
    ['the connection broke', { errno: 'ECONNRESET' }],
    ['nothing came for too long', {}],
    ['the network between servers broke', { code: 210 }]
  ])('does not ask twice when %s: the query may have run', async (_what, fault) => {
    const { who, first, asked } = setup()
    first.fault = fault
    await expect(who()).rejects.toMatchObject({ code: 'PIPE_CLICKHOUSE_UNAVAILABLE' })
    expect(asked).toEqual(['0'])
  })

  it('leaves out a server whose connection broke, counts that, and takes it back after a check', async () => {
    const { who, first, clock, series } = setup()
    await clock.advance(100)
    first.fault = { errno: 'ECONNRESET' }
    first.sick = { errno: 'ECONNREFUSED' }
    await expect(who()).rejects.toMatchObject({ details: { errno: 'ECONNRESET' } })
    await clock.advance(1_000)
    expect([await who(), await who(), await who()]).toEqual(['1', '1', '1'])
    expect(await series('analytics_replicas_usable')).toEqual(['analytics_replicas_usable{store="clickhouse"} 1'])
    expect(await series('analytics_replica_left_out_total')).toContain(
      'analytics_replica_left_out_total{store="clickhouse",reason="failed"} 1'
    )
    first.fault = undefined
    first.sick = undefined
    await clock.advance(1_000)
    expect(new Set([await who(), await who()])).toEqual(new Set(['0', '1']))
  })

  it('leaves out a server that is silent on a check before a query finds out, and one that is only busy never', async () => {
    const { who, first, second, clock } = setup()
    await clock.advance(100)
    first.sick = 'hangs'
    second.sick = { code: 202 }
    await clock.advance(3_000)
    expect([await who(), await who()]).toEqual(['1', '1'])
  })

  it('asks those that are left out when there is no other', async () => {
    const { who, first, second, clock } = setup()
    await clock.advance(100)
    first.sick = 'hangs'
    second.sick = 'hangs'
    await clock.advance(3_000)
    expect(new Set([await who(), await who()])).toEqual(new Set(['0', '1']))
    first.fault = { errno: 'ECONNREFUSED' }
    second.fault = { errno: 'ECONNREFUSED' }
    await expect(who()).rejects.toMatchObject({ details: { errno: 'ECONNREFUSED' } })
  })

  it('ends a query on the server that runs it', async () => {
    const { who, reader, killed } = setup()
    await who('a')
    await who('b')
    await reader.kill('b')
    await reader.kill('a')
    await reader.kill('unknown')
    expect(killed).toEqual(['1:b', '0:a'])
  })
})
