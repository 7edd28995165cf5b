import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import type { Breaker } from '@millrace/stores/breaker'
import type { RedisArg } from '@millrace/stores/redis'
import { createAnswerCache } from './answer-cache.ts'
import type { Entry } from './envelope.ts'
import { sealEntry } from './envelope.ts'

const key = 'query:{shop}:k'
const entry: Entry = {
  projectId: 'shop',
  key,
  generation: 'g1',
  status: 200,
  contentType: 'application/json',
  queryId: 'q',
  madeAtMs: 1_000,
  costMs: 1,
  freshUntilMs: 2_000,
  staleUntilMs: 5_000,
  body: Buffer.from('{}')
}

function setup(replies: Readonly<Record<string, unknown>>) {
  const sent: (readonly RedisArg[])[] = []
  const bad: string[] = []
  const clock = createManualClock()
  const breaker: Breaker = {
    name: 'cache',
    state: 'closed',
    run: (work) => work(new AbortController().signal),
    [Symbol.dispose]: () => {}
  }
  const command = async (name: string, ...args: readonly RedisArg[]): Promise<unknown> => {
    sent.push([name, ...args])
    const reply = replies[name]
    if (reply instanceof Error) throw reply
    return reply
  }
  const cache = createAnswerCache({
    redis: { command, bytes: command },
    breaker,
    ttlMs: 3_600_000,
    lockMs: 3_000,
    clock,
    maxBytes: 100,
    onBad: (kind) => void bad.push(kind)
  })
  return { cache, clock, sent, bad }
}

const away = new AppError('PIPE_REDIS_UNAVAILABLE', 'away')

describe('the cache in Redis', () => {
  it('finds what was stored under the generation that counts', async () => {
    const found = { kind: 'read', generation: 'g1', entry }
    const { cache, bad } = setup({ MGET: [sealEntry(entry), Buffer.from('g1')] })
    expect([await cache.read('shop', key), bad]).toEqual([found, []])
    const purged = setup({ MGET: [sealEntry(entry), Buffer.from('g2')] })
    expect([await purged.cache.read('shop', key), purged.bad]).toEqual([
      { kind: 'read', generation: 'g2', entry: undefined },
      []
    ])
  })

  it('tells of what is of another project, and does not use it', async () => {
    const { cache, bad } = setup({ MGET: [sealEntry({ ...entry, projectId: 'blog' }), Buffer.from('g1')] })
    expect([await cache.read('shop', key), bad]).toMatchObject([{ entry: undefined as never }, ['mismatch']])
  })

  it('never throws when Redis is away, but for a purge', async () => {
    const { cache } = setup({ MGET: away, SET: away })
    await cache.write(entry)
    expect([await cache.read('shop', key), await cache.lock(key)]).toEqual([{ kind: 'away' }, { kind: 'away' }])
    await expect(cache.purge('shop')).rejects.toBe(away)
  })

  it('keeps an answer as long as it is of use, and none that is too large', async () => {
    const { cache, sent } = setup({ SET: 'OK' })
    await cache.write(entry)
    await cache.write({ ...entry, body: Buffer.alloc(101) })
    expect(sent.map(([name, at, , unit, ms]) => [name, at, unit, ms])).toEqual([['SET', key, 'PX', 4_000]])
  })

  it('renews a lock until it is released', async () => {
    const { cache, clock, sent } = setup({ SET: 'OK', EVALSHA: 1 })
    const lock = await cache.lock(key)
    await clock.advance(2_500)
    if (lock.kind === 'held') await lock.release()
    await clock.advance(10_000)
    expect(sent.map(([name, ...args]) => [name, args.at(-1)])).toEqual([
      ['SET', 3_000],
      ['EVALSHA', 3_000],
      ['EVALSHA', 3_000],
      ['EVALSHA', 0]
    ])
    expect((await setup({ SET: null }).cache.lock(key)).kind).toBe('taken')
  })
})
