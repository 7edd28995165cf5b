import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import type { Breaker } from '@millrace/stores/breaker'
import type { RedisArg } from '@millrace/stores/redis'
import { createAnswerCache } from './answer-cache.ts'
import type { AnswerCacheDeps } from './answer-cache.ts'
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

function setup(replies: Readonly<Record<string, unknown>>, replica?: AnswerCacheDeps['replica']) {
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
    replica,
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
    const found = { kind: 'read', generation: 'g1', entry, isLate: false }
    const { cache, bad } = setup({ MGET: [sealEntry(entry), Buffer.from('g1')] })
    expect([await cache.read('shop', key), bad]).toEqual([found, []])
    const purged = setup({ MGET: [sealEntry(entry), Buffer.from('g2')] })
    expect([await purged.cache.read('shop', key), purged.bad]).toEqual([
      { kind: 'read', generation: 'g2', entry: undefined, isLate: false },
      []
    ])
  })

  it('tells of what is of another project, and does not use it', async () => {
    const { cache, bad } = setup({ MGET: [sealEntry({ ...entry, projectId: 'blog' }), Buffer.from('g1')] })
    expect([await cache.read('shop', key), bad]).toMatchObject([{ entry: undefined as never }, ['mismatch']])
  })

  it('marks a project that has no marker, so that answers of before the marker was forgotten are void', async () => {
    const { cache, sent } = setup({ MGET: [sealEntry({ ...entry, generation: '' }), null], SET: 'OK' })
    const read = await cache.read('shop', key)
    expect(read).toMatchObject({ kind: 'read', entry: undefined })
    expect(sent[1]).toEqual(['SET', 'query-generation:{shop}', read.kind === 'read' && read.generation, 'NX'])
    const other = setup({ MGET: [sealEntry(entry), null], SET: null, GET: 'g1' })
    expect(await other.cache.read('shop', key)).toMatchObject({ generation: 'g1', entry })
  })

  it('takes an answer of a replica only where a late one will do, and only a fresh one', async () => {
    const found: string[] = []
    const values = { now: [sealEntry(entry), Buffer.from('g1')] as (Buffer | null)[] | undefined }
    const replica = { get: async () => values.now, found: (from: string) => void found.push(from) }
    const { cache, sent, clock } = setup({ MGET: [null, Buffer.from('g1')], SET: 'OK' }, replica)
    // What the entry calls fresh ended long before the clock of the test began.
    expect(await cache.read('shop', key, 'any')).toMatchObject({ isLate: false, entry: undefined })
    values.now = [sealEntry({ ...entry, freshUntilMs: clock.now() + 1 }), Buffer.from('g1')]
    expect(await cache.read('shop', key, 'any')).toMatchObject({ isLate: true, generation: 'g1', entry: { key } })
    expect(await cache.read('shop', key)).toMatchObject({ isLate: false, entry: undefined })
    expect([found, sent.length]).toEqual([['primary', 'replica'], 2])
    // A replica that has not heard of the purge, has no marker, or is left out.
    await cache.purge('shop')
    expect(await cache.read('shop', key, 'any')).toMatchObject({ isLate: false })
    for (const late of [[values.now[0] ?? null, null], undefined]) {
      values.now = late
      expect(await cache.read('shop', key, 'any')).toMatchObject({ isLate: false })
    }
  })

  it('tells the generation that counts, when there is one', async () => {
    expect(await setup({ GET: 'g1' }).cache.generation('shop')).toBe('g1')
    expect(await setup({ GET: null }).cache.generation('shop')).toBeUndefined()
    expect(await setup({ GET: away }).cache.generation('shop')).toBeUndefined()
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
