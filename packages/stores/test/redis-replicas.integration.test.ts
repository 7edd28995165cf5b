// A Redis Cluster of one master and one replica: what only reads goes to the replica, where that is asked for.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { eventually } from '@millrace/testkit/eventually'
import { openOwnRedis } from '@millrace/testkit/own-redis'
import type { OwnRedis } from '@millrace/testkit/own-redis'
import { openRedis } from '../src/redis.ts'
import type { Redis, RedisRole } from '../src/redis.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
let url: string
let master: Redis
let replica: Redis

const open = async (at: string, role: RedisRole = 'cache'): Promise<Redis> =>
  stack.use(await openRedis({ url: at, role, log, requirePolicy: 'when-reachable', commandTimeoutMs: 5_000 }))

beforeAll(async () => {
  // Nodes tell each other of changes after half of this time at the latest.
  const cluster = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000']
  const settings = [...cluster, '--maxmemory-policy', 'allkeys-lru', '--repl-diskless-sync-delay', '0']
  const start = async (): Promise<OwnRedis> => stack.use(await openOwnRedis(settings))
  const [first, second] = await Promise.all([start(), start()])
  master = await open(first.url)
  replica = await open(second.url)
  await master.command('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383)
  await replica.command('CLUSTER', 'MEET', '127.0.0.1', first.port)
  const id = String(await master.command('CLUSTER', 'MYID'))
  await eventually('the replica follows', async () => (await replica.command('CLUSTER', 'REPLICATE', id)) === 'OK')
  await eventually('the link is up', async () => {
    return String(await replica.command('INFO', 'replication')).includes('master_link_status:up')
  })
  // A replica that has replicated nothing yet is not told of.
  await eventually('the master takes writes', async () => (await master.command('SET', 'anything', 1)) === 'OK')
  await eventually('the master knows of it', async () => {
    return String(await master.command('CLUSTER', 'SLOTS')).includes(String(second.port))
  })
  url = `redis+cluster://127.0.0.1:${first.port}`
})
afterAll(() => stack.disposeAsync())

/** How often the server was asked for values. */
const reads = async (server: Redis): Promise<number> => {
  const stats = String(await server.command('INFO', 'commandstats'))
  return Number(/cmdstat_mget:calls=(\d+)/.exec(stats)?.[1] ?? 0)
}

it('reads from the replica and writes to the master', async () => {
  const cluster = await open(`${url}?replicas=true`)
  await cluster.command('SET', 'query:{shop}:a', 'x', 'PX', 60_000)
  await master.command('WAIT', 1, 2_000)
  expect(await cluster.bytes('MGET', 'query:{shop}:a', 'query:{shop}:b')).toEqual([Buffer.from('x'), null])
  expect([await reads(master), await reads(replica)]).toEqual([0, 1])
})

it('reads from the master where it is not asked for', async () => {
  const before = await reads(replica)
  const cluster = await open(url)
  expect(await cluster.command('MGET', 'query:{shop}:a')).toEqual(['x'])
  expect([await reads(master), await reads(replica)]).toEqual([1, before])
})

it('refuses roles that a late value would harm', async () => {
  await expect(open(`${url}?replicas=true`, 'dedup')).rejects.toMatchObject({ code: 'PIPE_CONFIG_INVALID' })
})
