import { Writable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { createByteBudget } from '../byte-budget.ts'
import { createAnswers } from '../cache/answers.ts'
import { cacheKeyOf } from '../cache/cache-key.ts'
import { createLocalAnswers } from '../cache/local-answers.ts'
import { queryMetrics } from '../metrics.ts'
import { toQueryProblem } from '../query-error.ts'
import { answerFixed } from './fixed-question.ts'
import type { FixedQuestion } from './fixed-question.ts'

const mebi = 1024 ** 2

/** A reply whose client never reads. */
function unread(): FastifyReply {
  const raw = new Writable({ highWaterMark: 1, write: () => undefined })
  const reply: object = {
    raw,
    code: () => reply,
    header: () => reply,
    send: (body: Buffer) => {
      raw.end(body)
      return reply
    }
  }
  return reply as FastifyReply
}

function setup() {
  const clock = createManualClock()
  const budget = createByteBudget({ bytes: 64 * mebi, waitMs: 2_000, clock })
  const cache = {
    read: async () => ({ kind: 'away' }) as const,
    write: async () => {},
    lock: async () => ({ kind: 'away' }) as const,
    generation: async () => undefined,
    purge: async () => ''
  }
  const times = { freshOpenMs: 1, freshClosedMs: 1, staleOpenMs: 1, ttlMs: 1, mistakeMs: 1 }
  const answers = createAnswers({ cache, local: createLocalAnswers(mebi, clock), clock, times, random: () => 0 })
  const rows = Buffer.from('{"meta":[],"data":[],"rows":0,"statistics":{"elapsed":0,"rows_read":0,"bytes_read":0}}')
  const engine = {
    ask: async ({ projectId, signal }: { readonly projectId: string; readonly signal: AbortSignal }) => {
      const lease = await budget.reserve({ projectId, bytes: 4 * mebi, signal })
      lease.shrink(2 * mebi)
      return { body: rows, lease, work: undefined }
    },
    stream: () => Promise.reject(new Error('not asked'))
  }
  const deps = {
    schema: { version: () => 'v1' },
    keys: { authenticate: () => ({ kind: 'invalid' }) as const },
    metrics: bindMetrics(queryMetrics, createRegistry()),
    log: createSilentLogger(),
    timeoutMs: 10_000,
    keyOf: cacheKeyOf,
    answers,
    engine,
    clock
  }
  const ask = async (projectId: string, toReply: FixedQuestion['toReply']): Promise<FastifyReply['raw']> => {
    const reply = unread()
    const request = { headers: {} } as FastifyRequest
    const caller = { projectId, deadlineMs: 10_000, signal: new AbortController().signal, note: {} }
    await answerFixed(request, reply, caller, deps, { kind: 'x-1', sql: 'SELECT 1', params: {}, kept: 'open', toReply })
    return reply.raw
  }
  return { clock, budget, ask }
}

describe('the reply to a question of ours', () => {
  it('takes room until its client has read it: clients that never do get no more of it than there is, for a minute', async () => {
    const { clock, budget, ask } = setup()
    const large = (): object => ({ text: 'x'.repeat(4 * mebi - 11) })
    const replies: FastifyReply['raw'][] = []
    for (let index = 0; index < 16; index++) replies.push(await ask(`p${index}`, large))
    expect(budget.held).toBe(64 * mebi)
    const late = ask('p16', large).catch((error: unknown) => toQueryProblem(error)?.code)
    await clock.advance(2_000)
    expect(await late).toBe('unavailable')
    await clock.advance(58_000)
    await expect.poll(() => replies.map(({ destroyed }) => destroyed)).toEqual(replies.map(() => true))
    expect(budget.held).toBe(0)
  })

  it('takes none when it is small, is nothing, or cannot be made, and is sent within a minute all the same', async () => {
    const { clock, budget, ask } = setup()
    const small = await ask('a', () => ({ ok: true }))
    await ask('b', () => undefined)
    const fail = (): never => {
      throw new TypeError('no shape')
    }
    await expect(ask('c', fail)).rejects.toThrow('no shape')
    expect([budget.held, small.destroyed]).toEqual([0, false])
    await clock.advance(60_000)
    expect(small.destroyed).toBe(true)
  })
})
