// The lease on a Redis Cluster of three real nodes: every key of a call lies in the slot of its prefix.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { openOwnCluster } from '@millrace/testkit/own-cluster'
import type { OwnCluster } from '@millrace/testkit/own-cluster'
import { createDedupLease } from '../src/dedup-lease.ts'
import type { DedupLease, Reservation } from '../src/dedup-lease.ts'
import { openRedis } from '../src/redis.ts'
import type { Redis } from '../src/redis.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
const shards = 16
let cluster: OwnCluster
let lease: DedupLease

const open = async (url: string): Promise<Redis> =>
  stack.use(await openRedis({ url, role: 'dedup', log, requirePolicy: 'now', commandTimeoutMs: 5_000 }))

beforeAll(async () => {
  cluster = stack.use(await openOwnCluster())
  const redis = await open(cluster.url)
  lease = createDedupLease({ redis, shards, leaseMs: 30_000, windowMs: 86_400_000 })
})
afterAll(() => stack.disposeAsync())

describe('the lease on a Redis Cluster', () => {
  it('keeps its word for one request over all shards and nodes', async () => {
    const slots = Array.from({ length: 300 }, (_, index) => lease.slot('demo', 0, `e${index}`))
    const reserve = (): Promise<readonly Reservation[]> =>
      lease.reserveAll(slots.map((slot) => ({ slot, receipt: 'first' })))
    const taken = await reserve()
    expect(new Set(taken.map(({ kind }) => kind))).toEqual(new Set(['new']))
    expect(new Set((await reserve()).map(({ kind }) => kind))).toEqual(new Set(['busy']))
    const held = taken.flatMap((each, at) => (each.kind === 'new' ? { slot: slots[at]!, token: each.token } : []))
    expect(await lease.releaseAll(held.slice(0, 100))).toBe(0)
    expect(await lease.commitAll(slots.slice(100))).toEqual([])
    const kinds = (await reserve()).map(({ kind }) => kind)
    expect(kinds).toEqual(slots.map((_, at) => (at < 100 ? 'new' : 'duplicate')))
    const sizes = await Promise.all(cluster.direct.map(async (node) => Number(await node.command('DBSIZE'))))
    expect(sizes.every((size) => size > 0)).toBe(true)
  })

  it('keeps one layout for all nodes', async () => {
    await lease.verifyLayout()
    const redis = await open(`redis+cluster://127.0.0.1:${cluster.nodes[2]!.port}`)
    const other = createDedupLease({ redis, shards: 8, leaseMs: 30_000, windowMs: 86_400_000 })
    await expect(other.verifyLayout()).rejects.toMatchObject({ code: 'PIPE_CONFIG_INVALID' })
  })

  it('looks up both layouts after a change of shards', async () => {
    const redis = await open(`redis+cluster://127.0.0.1:${cluster.nodes[1]!.port}`)
    const wider = createDedupLease({
      redis,
      shards: 32,
      previousShards: shards,
      leaseMs: 30_000,
      windowMs: 86_400_000
    })
    const slots = Array.from({ length: 320 }, (_, index) => wider.slot('demo', 0, `e${index}`))
    const kinds = (await wider.reserveAll(slots.map((slot) => ({ slot })))).map(({ kind }) => kind)
    expect(kinds).toEqual(slots.map((_, at) => (at < 100 ? 'busy' : at < 300 ? 'duplicate' : 'new')))
  })

  it('never forgets a mark while its slot moves to another node', async () => {
    const slots = Array.from({ length: 100 }, (_, index) => lease.slot('moving', 0, `e${index}`))
    const [first] = slots
    const together = slots.filter(({ prefix }) => prefix === first!.prefix)
    expect(await lease.commitAll(together)).toEqual([])
    const reserve = async (): Promise<readonly string[]> =>
      (await lease.reserveAll(together.map((slot) => ({ slot })))).map(({ kind }) => kind)
    const from = await cluster.ownerOf(first!.prefix)
    const move = await cluster.startMove(first!.prefix, (from + 1) % 3)
    const during = [await reserve()]
    for (let left = 1; left > 0; left = await move.moveKeys(1)) during.push(await reserve())
    during.push(await reserve())
    expect(new Set(during.flat())).toEqual(new Set(['failed']))
    await move.end()
    expect(new Set(await reserve())).toEqual(new Set(['duplicate']))
    expect(await cluster.ownerOf(first!.prefix)).toBe((from + 1) % 3)
  })
})
