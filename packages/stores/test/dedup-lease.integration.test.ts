import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { createRandom } from '@millrace/testkit/random'
import { uniqueProject } from '@millrace/testkit/unique'
import { createDedupLease } from '../src/dedup-lease.ts'
import type { DedupLease, DedupLeaseOptions, DedupSlot } from '../src/dedup-lease.ts'
import { digestOf } from '../src/dedup-slot.ts'
import { openRedis } from '../src/redis.ts'
import type { Redis } from '../src/redis.ts'

const stack = new AsyncDisposableStack()
const project = uniqueProject('lease')
let redis: Redis
let lease: DedupLease

const leaseOn = (on: Redis, options: Partial<DedupLeaseOptions> = {}): DedupLease =>
  createDedupLease({ redis: on, shards: 1, leaseMs: 30_000, windowMs: 86_400_000, ...options })

async function open(url: string): Promise<Redis> {
  const log = createSilentLogger()
  return stack.use(await openRedis({ url, role: 'dedup', log, requirePolicy: 'now', commandTimeoutMs: 5_000 }))
}

beforeAll(async () => {
  redis = await open(testEndpoints().REDIS_DEDUP_URL)
  lease = leaseOn(redis)
})
afterAll(() => stack.disposeAsync())

const slot = (eventId: string, of = project): DedupSlot => lease.slot(of, 1, eventId)
const kindsOf = async (slots: readonly DedupSlot[], on = lease): Promise<readonly string[]> =>
  (await on.reserveAll(slots.map((each) => ({ slot: each })))).map(({ kind }) => kind)
const kindOf = async (each: DedupSlot, on = lease): Promise<string> => (await kindsOf([each], on))[0] ?? ''

/** Reserves `each`, which must be new; the token. */
async function take(each: DedupSlot): Promise<string> {
  const [reservation] = await lease.reserveAll([{ slot: each }])
  return reservation?.kind === 'new' ? reservation.token : expect.fail(reservation?.kind)
}

/** The names of the hashes that hold a lease on `each`. */
async function leasesOf(each: DedupSlot): Promise<readonly string[]> {
  const names = (await redis.command('KEYS', `${each.prefix}p*`)) as readonly string[]
  const held = await Promise.all(names.map((name) => redis.command('HEXISTS', name, digestOf(each))))
  return names.filter((_, at) => held[at] === 1)
}

const receiptOf = (each: DedupSlot): string => `${each.prefix}f${digestOf(each)}`
const commit = async (each: DedupSlot): Promise<void> => expect(await lease.commitAll([each])).toEqual([])
const release = (each: DedupSlot, token: string): Promise<number> => lease.releaseAll([{ slot: each, token }])

describe('createDedupLease', () => {
  it('is new once, busy while leased, duplicate after the commit', async () => {
    const each = slot('e1')
    expect(await kindOf(each)).toBe('new')
    expect(await kindOf(each)).toBe('busy')
    const lives = await Promise.all((await leasesOf(each)).map((name) => redis.command('PTTL', name)))
    expect(lives.map(Number)).toEqual([expect.toSatisfy((life: number) => life > 300_000 && life <= 600_000)])
    await commit(each)
    expect(await kindOf(each)).toBe('duplicate')
    expect(await leasesOf(each)).toEqual([])
  })

  it('gives a lease back only to its holder, and never what is marked', async () => {
    const each = slot('e2')
    const first = await take(each)
    expect(await release(each, `${first}0`)).toBe(0)
    expect(await kindOf(each)).toBe('busy')
    await release(each, first)
    const second = await take(each)
    expect(second).not.toBe(first)
    await release(each, first)
    expect(await kindOf(each)).toBe('busy')
    await commit(each)
    await release(each, second)
    expect(await kindOf(each)).toBe('duplicate')
  })

  it('gives back whoever holds it with the planted bug', async () => {
    const each = slot('any')
    await take(each)
    expect(await leaseOn(redis, { releasesAnyLease: true }).releaseAll([{ slot: each, token: 'other' }])).toBe(0)
    expect(await kindOf(each)).toBe('new')
  })

  it('marks over the lease of another attempt, because an ack is proof', async () => {
    const each = slot('e4')
    await release(each, await take(each))
    const other = await take(each)
    await commit(each)
    await release(each, other)
    expect(await kindOf(each)).toBe('duplicate')
  })

  it('finds an event stored whose mark travels in the same call', async () => {
    const each = slot('e6')
    await take(each)
    const [, kind] = await Promise.all([lease.commitAll([each]), kindOf(each)])
    expect(kind).toBe('duplicate')
  })

  it('lets a lease end by itself', async () => {
    const short = leaseOn(redis, { leaseMs: 1 })
    expect(await kindOf(slot('e5'), short)).toBe('new')
    await expect.poll(() => kindOf(slot('e5'), short)).toBe('new')
  })

  it('sees the leases of gateways whose leases are longer or shorter', async () => {
    const [short, long] = [leaseOn(redis, { leaseMs: 15_000 }), leaseOn(redis, { leaseMs: 300_000 })]
    for (const [one, other] of [
      [short, long],
      [long, short]
    ] as const) {
      const each = slot(`apart-${one === short}`)
      const [reservation] = await one.reserveAll([{ slot: each }])
      expect(await kindOf(each, other)).toBe('busy')
      const token = reservation?.kind === 'new' ? reservation.token : ''
      expect(await other.releaseAll([{ slot: each, token }])).toBe(0)
      expect(await kindOf(each, other)).toBe('new')
    }
    expect(() => leaseOn(redis, { leaseMs: 300_001 })).toThrow('300000')
  })

  it('admits one of many attempts at one id', async () => {
    const kinds = await Promise.all(Array.from({ length: 2_000 }, () => kindOf(slot('same'))))
    expect(kinds.filter((kind) => kind === 'new')).toHaveLength(1)
    expect(kinds.filter((kind) => kind === 'busy')).toHaveLength(1_999)
  })

  it('admits all of many ids, and tells each of them apart', async () => {
    const slots = Array.from({ length: 2_000 }, (_, index) => slot(`many-${index}`))
    expect(new Set(await kindsOf(slots))).toEqual(new Set(['new']))
    await lease.commitAll(slots.filter((_, index) => index % 2 === 0))
    expect(await kindsOf(slots)).toEqual(slots.map((_, index) => (index % 2 === 0 ? 'duplicate' : 'busy')))
  })

  it('keeps the first receipt until the commit, and gives it to a repeat, also to one without its own', async () => {
    const each = slot('receipt')
    const reserve = async (receipt?: string): Promise<string | undefined> => {
      const [reservation] = await lease.reserveAll([{ slot: each, receipt }])
      if (reservation?.kind !== 'new') return reservation?.kind
      await release(each, reservation.token)
      return reservation.receipt
    }
    expect([await reserve('first'), await reserve('second'), await reserve()]).toEqual([undefined, 'first', 'first'])
    const life = Number(await redis.command('PTTL', receiptOf(each)))
    expect(life).toBeGreaterThan(86_000_000)
    await commit(each)
    expect(await redis.command('EXISTS', receiptOf(each))).toBe(0)
  })

  it('works again after Redis forgot the scripts', async () => {
    await redis.command('SCRIPT', 'FLUSH')
    expect(await kindOf(slot('e7'))).toBe('new')
  })

  it('agrees with the protocol on paper over random histories', async () => {
    const random = createRandom(4_711)
    const own = uniqueProject('history')
    const paper = new Map<number, { state: 'leased' | 'marked'; token?: string }>()
    for (let round = 0; round < 300; round++) {
      const ids = [...new Set(Array.from({ length: 1 + random.below(6) }, () => random.below(40)))]
      const slots = ids.map((id) => slot(`h${id}`, own))
      const choice = random.below(3)
      if (choice === 0) {
        const found = await lease.reserveAll(slots.map((each) => ({ slot: each })))
        ids.forEach((id, at) => {
          const known = paper.get(id)
          const expected = known === undefined ? 'new' : known.state === 'marked' ? 'duplicate' : 'busy'
          const reservation = found[at]!
          expect([round, id, reservation.kind]).toEqual([round, id, expected])
          if (reservation.kind === 'new') paper.set(id, { state: 'leased', token: reservation.token })
        })
      } else if (choice === 1) {
        await lease.commitAll(slots)
        for (const id of ids) paper.set(id, { state: 'marked' })
      } else {
        const stale = random.below(2) === 0
        const held = ids.map((id, at) => ({ slot: slots[at]!, token: stale ? 'x' : (paper.get(id)?.token ?? 'x') }))
        await lease.releaseAll(held)
        const freed = stale ? [] : ids.filter((id) => paper.get(id)?.state === 'leased')
        freed.forEach((id) => paper.delete(id))
      }
    }
  })
})

/** The layers of the marks of `of` by name, `<bucket>.<width>`, with their counts. */
async function layersOf(of: string): Promise<readonly (readonly [string, number])[]> {
  const fields = (await redis.command('HGETALL', `event:{${of}.0}:b`)) as readonly string[]
  const names = fields.filter((_, at) => at % 2 === 0)
  return names.map((name, at) => [name, Number(fields[at * 2 + 1])] as const).toSorted(([a], [b]) => (a < b ? -1 : 1))
}

describe('marks', () => {
  it('are known for at least a window, over the ends of buckets, and forgotten behind it', async () => {
    const short = leaseOn(redis, { windowMs: 4_000 })
    const each = slot('aging')
    const beforeMs = performance.now()
    await short.commitAll([each])
    const committedMs = performance.now()
    expect(await kindOf(each, short)).toBe('duplicate')
    let lastKnownMs = 0
    const isKnown = async (): Promise<boolean> => {
      const askedMs = performance.now()
      const known = (await kindOf(each, short)) === 'duplicate'
      if (known) lastKnownMs = askedMs
      return known
    }
    await expect.poll(isKnown, { timeout: 20_000, interval: 100 }).toBe(false)
    expect(performance.now() - beforeMs).toBeGreaterThan(3_990)
    // A window and the bucket in which it began.
    expect(lastKnownMs - committedMs).toBeLessThan(5_100)
  })

  it('take a few bytes each at any rate: a full layer of sets is followed by a wider one, and known as before', async () => {
    const own = uniqueProject('compact')
    const slots = Array.from({ length: 120_000 }, (_, index) => lease.slot(own, 1, `m${index}`))
    for (let at = 0; at < slots.length; at += 5_000)
      expect(await lease.commitAll(slots.slice(at, at + 5_000))).toEqual([])
    const layers = await layersOf(own)
    expect(layers.map(([name]) => name.split('.')[1])).toEqual(['2', '3'])
    expect(layers[0]?.[1]).toBeGreaterThan(105_000)
    expect(layers[0]?.[1]).toBeLessThan(107_000)
    expect(layers.reduce((sum, [, count]) => sum + count, 0)).toBe(120_000)
    const kinds = await kindsOf([...slots.filter((_, at) => at % 97 === 0), lease.slot(own, 1, 'other')])
    expect(kinds.slice(0, -1)).toEqual(Array(kinds.length - 1).fill('duplicate'))
    expect(kinds.at(-1)).toBe('new')
    const set = `event:{${own}.0}:c${layers[0]![0]}.00`
    expect(await redis.command('OBJECT', 'ENCODING', set)).toBe('intset')
    const endless = (await redis.command('KEYS', `event:{${own}.0}:c*`)) as readonly string[]
    const lives = await redis.pipeline(endless.map((name) => ['TTL', name] as const))
    expect(lives.filter((life) => !life.ok || Number(life.value) < 100_000)).toEqual([])
  })

  it('begin a bucket with the width that the one before would have needed', async () => {
    const short = leaseOn(redis, { windowMs: 4_000 })
    const own = uniqueProject('begin')
    const mark = (from: number): Promise<unknown> =>
      short.commitAll(Array.from({ length: 10 }, (_, index) => short.slot(own, 1, `m${from + index}`)))
    await mark(0)
    const [first] = await layersOf(own)
    let from = 10
    const others = async (): Promise<readonly string[]> => {
      await mark((from += 10))
      return (await layersOf(own)).map(([name]) => name).filter((name) => name !== first?.[0])
    }
    await expect.poll(async () => (await others()).length, { timeout: 10_000 }).toBeGreaterThan(0)
    expect([first?.[0], ...(await others())].map((name) => name?.split('.')[1])).toEqual(
      expect.arrayContaining(['2', '0'])
    )
  })

  it('refuses marks that were written with another number of shards, unless that is named as the one before', async () => {
    const url = new URL(testEndpoints().REDIS_DEDUP_URL)
    url.pathname = '/14'
    const apart = await open(url.href)
    await apart.command('FLUSHDB')
    const old = leaseOn(apart, { shards: 4 })
    await old.verifyLayout()
    await old.verifyLayout()
    await expect(leaseOn(apart, { shards: 8 }).verifyLayout()).rejects.toMatchObject({
      code: 'PIPE_CONFIG_INVALID',
      details: { stored: 'shards=4', configured: 'shards=8' }
    })
    const ids = Array.from({ length: 50 }, (_, index) => `moved-${index}`)
    await old.commitAll(ids.slice(0, 25).map((id) => old.slot(project, 1, id)))
    await old.reserveAll(ids.slice(25, 30).map((id) => ({ slot: old.slot(project, 1, id) })))
    const wider = leaseOn(apart, { shards: 8, previousShards: 4 })
    await wider.verifyLayout()
    const kinds = await kindsOf(
      ids.map((id) => wider.slot(project, 1, id)),
      wider
    )
    expect(kinds).toEqual(ids.map((_, at) => (at < 25 ? 'duplicate' : at < 30 ? 'busy' : 'new')))
    await leaseOn(apart, { shards: 8 }).verifyLayout()
    await expect(old.verifyLayout()).rejects.toMatchObject({ code: 'PIPE_CONFIG_INVALID' })
  })
})
