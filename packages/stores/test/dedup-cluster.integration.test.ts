// The lease on a Redis Cluster of three real nodes: every key of a call lies in the slot of its prefix.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { eventually } from '@millrace/testkit/eventually'
import { openOwnRedis } from '@millrace/testkit/own-redis'
import type { OwnRedis } from '@millrace/testkit/own-redis'
import { createDedupLease } from '../src/dedup-lease.ts'
import type { DedupLease, Reservation } from '../src/dedup-lease.ts'
import { openRedis } from '../src/redis.ts'
import type { Redis } from '../src/redis.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
const shards = 16
let nodes: readonly OwnRedis[]
let direct: readonly Redis[]
let lease: DedupLease

const open = async (url: string): Promise<Redis> =>
  stack.use(await openRedis({ url, role: 'dedup', log, requirePolicy: 'now', commandTimeoutMs: 5_000 }))

beforeAll(async () => {
  nodes = await Promise.all(
    Array.from({ length: 3 }, async () => stack.use(await openOwnRedis(['--cluster-enabled', 'yes'])))
  )
  direct = await Promise.all(nodes.map(({ url }) => open(url)))
  const ends = [0, 5_461, 10_923, 16_384]
  for (const [at, node] of direct.entries()) {
    await node.command('CLUSTER', 'ADDSLOTSRANGE', ends[at]!, ends[at + 1]! - 1)
    await node.command('CLUSTER', 'SET-CONFIG-EPOCH', at + 1)
  }
  for (const { port } of nodes.slice(1)) await direct[0]!.command('CLUSTER', 'MEET', '127.0.0.1', port)
  const isReady = async (node: Redis): Promise<boolean> => {
    const info = String(await node.command('CLUSTER', 'INFO'))
    return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3')
  }
  await eventually('the cluster is ready', async () => (await Promise.all(direct.map(isReady))).every(Boolean), {
    timeoutMs: 20_000
  })
  const redis = await open(`redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`)
  lease = createDedupLease({ redis, shards, leaseMs: 30_000, windowMs: 86_400_000 })
}, 60_000)
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
    const sizes = await Promise.all(direct.map(async (node) => Number(await node.command('DBSIZE'))))
    expect(sizes.every((size) => size > 0)).toBe(true)
  })

  it('keeps one layout for all nodes', async () => {
    await lease.verifyLayout()
    const redis = await open(`redis+cluster://127.0.0.1:${nodes[2]!.port}`)
    const other = createDedupLease({ redis, shards: 8, leaseMs: 30_000, windowMs: 86_400_000 })
    await expect(other.verifyLayout()).rejects.toMatchObject({ code: 'PIPE_CONFIG_INVALID' })
  })

  it('looks up both layouts after a change of shards', async () => {
    const redis = await open(`redis+cluster://127.0.0.1:${nodes[1]!.port}`)
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
})
