import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { uniqueProject } from '@millrace/testkit/unique'
import { createDedupLease } from '../src/dedup-lease.ts'
import type { DedupLease, DedupLeaseOptions } from '../src/dedup-lease.ts'
import { openRedis } from '../src/redis.ts'
import type { Redis } from '../src/redis.ts'

const stack = new AsyncDisposableStack()
const project = uniqueProject('lease')
let redis: Redis
let lease: DedupLease

const leaseOn = (on: Redis, options: Partial<DedupLeaseOptions> = {}): DedupLease =>
  createDedupLease({ redis: on, shards: 1, leaseMs: 30_000, committedMs: 60_000, ...options })

async function open(url: string): Promise<Redis> {
  const log = createSilentLogger()
  return stack.use(await openRedis({ url, role: 'dedup', log, requirePolicy: 'now', commandTimeoutMs: 5_000 }))
}

beforeAll(async () => {
  redis = await open(testEndpoints().REDIS_DEDUP_URL)
  lease = leaseOn(redis)
})
afterAll(() => stack.disposeAsync())

const lifeOf = async (eventId: string): Promise<number> =>
  Number(await redis.command('PTTL', lease.slot(project, eventId).key))

describe('createDedupLease', () => {
  it('is new once, busy while leased, duplicate after the commit', async () => {
    const slot = lease.slot(project, 'e1')
    expect(await lease.reserve(slot, 'a')).toBe('new')
    expect(await lease.reserve(slot, 'b')).toBe('busy')
    await lease.commit(slot)
    expect(await lease.reserve(slot, 'c')).toBe('duplicate')
    expect(await lifeOf('e1')).toBeGreaterThan(55_000)
  })

  it('gives a lease back only to its holder', async () => {
    const slot = lease.slot(project, 'e2')
    await lease.reserve(slot, 'a')
    await lease.release(slot, 'b')
    expect(await lease.reserve(slot, 'c')).toBe('busy')
    await lease.release(slot, 'a')
    expect(await lease.reserve(slot, 'c')).toBe('new')
  })

  it('does not give back what is committed', async () => {
    const slot = lease.slot(project, 'e3')
    await lease.reserve(slot, 'a')
    await lease.commit(slot)
    await lease.release(slot, 'a')
    expect(await lease.reserve(slot, 'b')).toBe('duplicate')
  })

  it('commits over the lease of another attempt, because an ack is proof', async () => {
    const slot = lease.slot(project, 'e4')
    await lease.reserve(slot, 'a')
    await lease.release(slot, 'a')
    await lease.reserve(slot, 'b')
    await lease.commit(slot)
    expect(await lease.reserve(slot, 'c')).toBe('duplicate')
  })

  it('lets a lease end by itself', async () => {
    const slot = lease.slot(project, 'e5')
    await lease.reserve(slot, 'a')
    expect(await lifeOf('e5')).toBeGreaterThan(25_000)
    const short = leaseOn(redis, { leaseMs: 1 })
    const other = short.slot(project, 'e6')
    await short.reserve(other, 'a')
    await expect.poll(() => short.reserve(other, 'b'), { timeout: 5_000 }).toBe('new')
  })

  it('admits one of many attempts at one id, and all of many ids', async () => {
    const slot = lease.slot(project, 'same')
    const same = await Promise.all(Array.from({ length: 2_000 }, (_, index) => lease.reserve(slot, `t${index}`)))
    expect(same.filter((reservation) => reservation === 'new')).toHaveLength(1)
    expect(same.filter((reservation) => reservation === 'busy')).toHaveLength(1_999)
    const slots = Array.from({ length: 2_000 }, (_, index) => lease.slot(project, `many-${index}`))
    const many = await Promise.all(slots.map((each) => lease.reserve(each, 't')))
    expect(new Set(many)).toEqual(new Set(['new']))
    await Promise.all(slots.map((each) => lease.commit(each)))
    const again = await Promise.all(slots.map((each) => lease.reserve(each, 't')))
    expect(new Set(again)).toEqual(new Set(['duplicate']))
  })

  it('keeps projects apart and spreads one project over its shards', () => {
    const wide = leaseOn(redis, { shards: 8 })
    expect(wide.slot('a', 'e').key).not.toBe(wide.slot('b', 'e').key)
    const shards = new Set(Array.from({ length: 200 }, (_, index) => wide.slot('a', `e${index}`).shard))
    expect([...shards].sort()).toEqual(['a.0', 'a.1', 'a.2', 'a.3', 'a.4', 'a.5', 'a.6', 'a.7'])
    expect(wide.slot('a', 'e').key).toMatch(/^event:\{a\.\d\}:[\w-]{20}$/)
  })

  it('works again after Redis forgot the scripts', async () => {
    await redis.command('SCRIPT', 'FLUSH')
    expect(await lease.reserve(lease.slot(project, 'e7'), 'a')).toBe('new')
  })

  it('refuses marks that were written with another number of shards', async () => {
    const url = new URL(testEndpoints().REDIS_DEDUP_URL)
    url.pathname = '/14'
    const apart = await open(url.href)
    await apart.command('DEL', 'event:layout')
    await leaseOn(apart, { shards: 4 }).verifyLayout()
    await leaseOn(apart, { shards: 4 }).verifyLayout()
    await expect(leaseOn(apart, { shards: 8 }).verifyLayout()).rejects.toMatchObject({
      code: 'PIPE_CONFIG_INVALID',
      details: { stored: 'shards=4', configured: 'shards=8' }
    })
  })
})
