import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { uniqueProject } from '@millrace/testkit/unique'
import { createDedupLease } from '../src/dedup-lease.ts'
import type { DedupLease, DedupLeaseOptions, DedupSlot } from '../src/dedup-lease.ts'
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

const kindOf = async (slot: DedupSlot, on = lease): Promise<string> => (await on.reserve(slot)).kind

/** Reserves `slot`, which must be new; the token. */
async function take(slot: DedupSlot): Promise<string> {
  const reservation = await lease.reserve(slot)
  return reservation.kind === 'new' ? reservation.token : expect.fail(reservation.kind)
}

const lifeOf = async ({ prefix, digest }: DedupSlot): Promise<number> =>
  Number(await redis.command('PTTL', prefix + digest))

describe('createDedupLease', () => {
  it('is new once, busy while leased, duplicate after the commit', async () => {
    const slot = lease.slot(project, 'e1')
    expect(await kindOf(slot)).toBe('new')
    expect(await kindOf(slot)).toBe('busy')
    expect(await lifeOf(slot)).toBeGreaterThan(25_000)
    expect(await lifeOf(slot)).toBeLessThanOrEqual(30_000)
    await lease.commit(slot)
    expect(await kindOf(slot)).toBe('duplicate')
    expect(await lifeOf(slot)).toBeGreaterThan(55_000)
  })

  it('gives a lease back only to its holder', async () => {
    const slot = lease.slot(project, 'e2')
    const first = await take(slot)
    await lease.release(slot, `${first}0`)
    expect(await kindOf(slot)).toBe('busy')
    await lease.release(slot, first)
    const second = await take(slot)
    expect(second).not.toBe(first)
    await lease.release(slot, first)
    expect(await kindOf(slot)).toBe('busy')
  })

  it('does not give back what is committed', async () => {
    const slot = lease.slot(project, 'e3')
    const token = await take(slot)
    await lease.commit(slot)
    await lease.release(slot, token)
    expect(await kindOf(slot)).toBe('duplicate')
  })

  it('commits over the lease of another attempt, because an ack is proof', async () => {
    const slot = lease.slot(project, 'e4')
    await lease.release(slot, await take(slot))
    const other = await take(slot)
    await lease.commit(slot)
    await lease.release(slot, other)
    expect(await kindOf(slot)).toBe('duplicate')
  })

  it('finds an event stored whose mark travels in the same call', async () => {
    const slot = lease.slot(project, 'e6')
    await take(slot)
    const [, kind] = await Promise.all([lease.commit(slot), kindOf(slot)])
    expect(kind).toBe('duplicate')
  })

  it('lets a lease end by itself', async () => {
    const short = leaseOn(redis, { leaseMs: 1 })
    const slot = short.slot(project, 'e5')
    expect(await kindOf(slot, short)).toBe('new')
    await expect.poll(() => kindOf(slot, short), { timeout: 5_000 }).toBe('new')
  })

  it('admits one of many attempts at one id', async () => {
    const slot = lease.slot(project, 'same')
    const kinds = await Promise.all(Array.from({ length: 2_000 }, () => kindOf(slot)))
    expect(kinds.filter((kind) => kind === 'new')).toHaveLength(1)
    expect(kinds.filter((kind) => kind === 'busy')).toHaveLength(1_999)
  })

  it('admits all of many ids under tokens of their own, and tells each of them apart', async () => {
    const slots = Array.from({ length: 2_000 }, (_, index) => lease.slot(project, `many-${index}`))
    const tokens = await Promise.all(slots.map(take))
    expect(new Set(tokens).size).toBe(2_000)
    const held = await Promise.all(slots.map(({ prefix, digest }) => redis.command('GET', prefix + digest)))
    expect(held).toEqual(tokens)
    const even = slots.filter((_, index) => index % 2 === 0)
    await Promise.all(even.map((slot) => lease.commit(slot)))
    const kinds = await Promise.all(slots.map((slot) => kindOf(slot)))
    expect(kinds).toEqual(slots.map((_, index) => (index % 2 === 0 ? 'duplicate' : 'busy')))
  })

  it('keeps projects apart and spreads one project over its shards', () => {
    const wide = leaseOn(redis, { shards: 8 })
    expect(wide.slot('a', 'e').digest).not.toBe(wide.slot('b', 'e').digest)
    const prefixes = new Set(Array.from({ length: 200 }, (_, index) => wide.slot('a', `e${index}`).prefix))
    expect([...prefixes].sort()).toEqual(Array.from({ length: 8 }, (_, shard) => `event:{a.${shard}}:`))
    expect(wide.slot('a', 'e').digest).toMatch(/^[\w-]{20}$/)
  })

  it('works again after Redis forgot the scripts', async () => {
    await redis.command('SCRIPT', 'FLUSH')
    expect(await kindOf(lease.slot(project, 'e7'))).toBe('new')
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
