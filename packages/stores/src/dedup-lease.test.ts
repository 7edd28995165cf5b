import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { createDedupLease } from './dedup-lease.ts'
import type { DedupSlot } from './dedup-lease.ts'
import { wordLength } from './dedup-slot.ts'
import type { Redis, RedisArg } from './redis.ts'

interface Sent {
  readonly args: readonly RedisArg[]
  readonly answer: (flags: string | readonly unknown[]) => void
  readonly fail: (error: Error) => void
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

/** A lease over a Redis that answers when it is told to. */
function setup(options: { shards?: number; previousShards?: number } = {}) {
  const sent: Sent[] = []
  const command: Redis['command'] = (_name, ...args) =>
    new Promise((resolve, reject) => sent.push({ args, answer: resolve, fail: reject }))
  const redis = { command } as unknown as Redis
  const clock = createManualClock()
  const lease = createDedupLease({ redis, clock, shards: 1, leaseMs: 30_000, windowMs: 86_400_000, ...options })
  const slot = (eventId: string, project = 'demo'): DedupSlot => lease.slot(project, 1, eventId)
  const reserve = (...ids: readonly string[]) => lease.reserveAll(ids.map((id) => ({ slot: slot(id) })))
  const commit = (...ids: readonly string[]) => lease.commitAll(ids.map((id) => slot(id)))
  return { sent, lease, clock, slot, reserve, commit }
}

const wordsIn = (text: RedisArg | undefined): number => String(text).length / wordLength
/** How many reservations and marks a call carries. */
const sizeOf = ({ args }: Sent): readonly [number, number] => [wordsIn(args[5]), wordsIn(args[8])]

describe('createDedupLease', () => {
  it('takes a reply that says nothing of an event for none, not for "busy"', async () => {
    const { sent, reserve } = setup()
    const reserved = reserve('a', 'b', 'c')
    await turn()
    sent[0]?.answer('N?')
    expect((await reserved).map(({ kind }) => kind)).toEqual(['new', 'failed', 'failed'])
  })

  it('makes one call of the requests of a turn, and one of all that come while it is under way', async () => {
    const { sent, clock, reserve, commit } = setup()
    const first = [reserve('a', 'b'), commit('c')]
    await turn()
    expect(sent.map(sizeOf)).toEqual([[2, 1]])
    const second = [reserve('d'), commit('e'), reserve('f')]
    await turn()
    expect(sent).toHaveLength(1)
    sent[0]?.answer('NB')
    expect(await Promise.all(first)).toEqual([
      [{ kind: 'new', token: expect.stringMatching(/^[\w-]{12}\.0$/) as string, receipt: undefined }, { kind: 'busy' }],
      []
    ])
    expect(sent).toHaveLength(1)
    await clock.advance(2)
    expect(sent.map(sizeOf)).toEqual([
      [2, 1],
      [2, 1]
    ])
    sent[1]?.answer('DD')
    expect(await Promise.all(second)).toEqual([[{ kind: 'duplicate' }], [], [{ kind: 'duplicate' }]])
    await clock.advance(10)
    void reserve('g')
    await turn()
    expect(sizeOf(sent[2]!)).toEqual([1, 0])
  })

  it('lets a call wait for company while calls follow each other, but not when there is enough of it', async () => {
    const { sent, clock, reserve } = setup()
    void reserve('a')
    await turn()
    sent[0]?.answer('N')
    await turn()
    void reserve('b')
    await turn()
    await clock.advance(1)
    void reserve('c')
    await turn()
    expect(sent).toHaveLength(1)
    await clock.advance(1)
    expect(sizeOf(sent[1]!)).toEqual([2, 0])
    void reserve(...Array.from({ length: 64 }, (_, index) => `d${index}`))
    sent[1]?.answer('NN')
    await turn()
    expect(sizeOf(sent[2]!)).toEqual([64, 0])
  })

  it('does not keep one project waiting for another, and puts a request together again', async () => {
    const { sent, lease, slot } = setup()
    const both = lease.reserveAll([
      { slot: slot('a', 'demo') },
      { slot: slot('a', 'shop') },
      { slot: slot('b', 'demo') }
    ])
    await turn()
    expect(sent.map(({ args }) => args[2])).toEqual(['event:{demo.0}:', 'event:{shop.0}:'])
    sent[1]?.answer('D')
    sent[0]?.answer('BN')
    expect((await both).map(({ kind }) => kind)).toEqual(['busy', 'duplicate', 'new'])
  })

  it('carries 500 of each at most', async () => {
    const { sent, reserve } = setup()
    void reserve(...Array.from({ length: 700 }, (_, index) => `e${index}`))
    await turn()
    sent[0]?.answer('N'.repeat(500))
    await turn()
    expect(sent.map(sizeOf)).toEqual([
      [500, 0],
      [200, 0]
    ])
  })

  it('says what failed, fails what waits behind it, and calls again for what comes later', async () => {
    const { sent, reserve, commit, slot } = setup()
    const first = reserve('a')
    await turn()
    const waiting = commit('b')
    sent[0]?.fail(new AppError('PIPE_REDIS_UNAVAILABLE', 'down'))
    expect(await first).toEqual([{ kind: 'failed' }])
    expect(await waiting).toEqual([slot('b')])
    const later = reserve('c')
    await turn()
    sent[1]?.answer('N')
    expect(await later).toMatchObject([{ kind: 'new' }])
  })

  it('sends receipts with their places and gives back the one that was kept', async () => {
    const { sent, lease, slot } = setup()
    const all = lease.reserveAll([{ slot: slot('a') }, { slot: slot('b'), receipt: 'r-b' }, { slot: slot('c') }])
    await turn()
    expect(sent[0]?.args.slice(10)).toEqual([2, 'r-b'])
    sent[0]?.answer(['NNB', 2, 'kept'])
    expect((await all).map((each) => (each.kind === 'new' ? each.receipt : each.kind))).toEqual([
      undefined,
      'kept',
      'busy'
    ])
  })

  it('tells ids, projects and generations of the log apart, and spreads ids over shards', () => {
    const { lease } = setup({ shards: 8 })
    const words = new Set(
      [lease.slot('a', 1, 'e'), lease.slot('b', 1, 'e'), lease.slot('a', 2, 'e')].map(({ word }) => word)
    )
    expect(words.size).toBe(3)
    expect(lease.slot('a', 1, 'e').word).toMatch(/^[0-9a-f]{34}[1-9]\d{18}$/)
    const prefixes = new Set(Array.from({ length: 200 }, (_, index) => lease.slot('a', 1, `e${index}`).prefix))
    expect([...prefixes].toSorted()).toEqual(Array.from({ length: 8 }, (_, shard) => `event:{a.${shard}}:`))
  })

  it('looks at the old layout first after a change of shards, and reserves only what is not there', async () => {
    const { sent, reserve } = setup({ shards: 1, previousShards: 1_024 })
    const answered = reserve('a', 'b')
    await turn()
    expect(sent.map(({ args }) => String(args[2]))).toEqual([
      expect.stringMatching(/^event:\{demo\.\d+\}:$/),
      expect.stringMatching(/^event:\{demo\.\d+\}:$/)
    ])
    sent[0]?.answer('D')
    sent[1]?.answer('-')
    await turn()
    await turn()
    expect(sent[2]?.args[2]).toBe('event:{demo.0}:')
    sent[2]?.answer('N')
    expect((await answered).map(({ kind }) => kind)).toEqual(['duplicate', 'new'])
  })
})
