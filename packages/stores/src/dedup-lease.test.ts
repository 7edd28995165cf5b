import { describe, expect, it } from 'vitest'
import { AppError } from '@millrace/kernel'
import { createDedupLease } from './dedup-lease.ts'
import type { Redis, RedisArg } from './redis.ts'

interface Sent {
  readonly args: readonly RedisArg[]
  readonly answer: (flags: string) => void
  readonly fail: (error: Error) => void
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A lease over a Redis that answers when it is told to. */
function setup() {
  const sent: Sent[] = []
  const command: Redis['command'] = (_name, ...args) =>
    new Promise((resolve, reject) => sent.push({ args, answer: resolve, fail: reject }))
  const redis = { command } as unknown as Redis
  return { sent, lease: createDedupLease({ redis, shards: 1, leaseMs: 30_000, committedMs: 60_000 }) }
}

/** How many reservations and marks a call carries. */
const sizeOf = ({ args }: Sent): readonly [number, number] => [String(args[3]).length / 20, String(args[6]).length / 20]

describe('createDedupLease', () => {
  it('makes one call of a turn, and one of all that comes while it is under way', async () => {
    const { sent, lease } = setup()
    const slot = (id: string) => lease.slot('demo', id)
    const first = [lease.reserve(slot('a')), lease.reserve(slot('b')), lease.commit(slot('c'))]
    await turn()
    expect(sent.map(sizeOf)).toEqual([[2, 1]])
    const second = [lease.reserve(slot('d')), lease.commit(slot('e'))]
    await turn()
    second.push(lease.reserve(slot('f')))
    await turn()
    expect(sent).toHaveLength(1)
    sent[0]?.answer('NB')
    expect(await Promise.all(first)).toEqual([
      { kind: 'new', token: expect.any(String) as string },
      { kind: 'busy' },
      undefined
    ])
    expect(sent.map(sizeOf)).toEqual([
      [2, 1],
      [2, 1]
    ])
    sent[1]?.answer('DD')
    expect(await Promise.all(second)).toEqual([{ kind: 'duplicate' }, undefined, { kind: 'duplicate' }])
    void lease.reserve(slot('g'))
    await turn()
    expect(sent.map(sizeOf)).toEqual([
      [2, 1],
      [2, 1],
      [1, 0]
    ])
  })

  it('does not keep one project waiting for another', async () => {
    const { sent, lease } = setup()
    void lease.reserve(lease.slot('demo', 'a'))
    void lease.reserve(lease.slot('shop', 'a'))
    await turn()
    expect(sent.map(({ args }) => args[2])).toEqual(['event:{demo.0}:', 'event:{shop.0}:'])
  })

  it('carries 500 of each at most', async () => {
    const { sent, lease } = setup()
    for (let index = 0; index < 700; index++) void lease.reserve(lease.slot('demo', `e${index}`))
    await turn()
    sent[0]?.answer('N'.repeat(500))
    await turn()
    expect(sent.map(sizeOf)).toEqual([
      [500, 0],
      [200, 0]
    ])
  })

  it('fails what waits behind a call that failed, and calls again for what comes later', async () => {
    const { sent, lease } = setup()
    const down = new AppError('PIPE_REDIS_UNAVAILABLE', 'down')
    const first = lease.reserve(lease.slot('demo', 'a'))
    await turn()
    const waiting = lease.commit(lease.slot('demo', 'b'))
    sent[0]?.fail(down)
    await expect(first).rejects.toBe(down)
    await expect(waiting).rejects.toBe(down)
    const later = lease.reserve(lease.slot('demo', 'c'))
    await turn()
    sent[1]?.answer('N')
    expect(await later).toMatchObject({ kind: 'new' })
  })
})
