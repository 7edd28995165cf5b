// Cached answers looked up on a real replica: it answers while the master stands still, and is left out when it is on its own.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { systemClock } from '@millrace/kernel'
import { createRegistry, createSilentLogger } from '@millrace/observability'
import { createBreaker } from '@millrace/stores/breaker'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { eventually } from '@millrace/testkit/eventually'
import { openOwnRedis } from '@millrace/testkit/own-redis'
import type { OwnRedis } from '@millrace/testkit/own-redis'
import { createAnswerCache } from '../src/cache/answer-cache.ts'
import type { AnswerCache } from '../src/cache/answer-cache.ts'
import { openCacheReplica } from '../src/cache/cache-replica.ts'
import type { Entry } from '../src/cache/envelope.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
const registry = createRegistry()
const lru = ['--maxmemory-policy', 'allkeys-lru', '--repl-diskless-sync-delay', '0']
let master: OwnRedis
let cache: AnswerCache
let replica: Redis

beforeAll(async () => {
  master = stack.use(await openOwnRedis(lru))
  const follower = stack.use(await openOwnRedis([...lru, '--replicaof', `127.0.0.1 ${master.port}`]))
  const common = { role: 'cache', log, requirePolicy: 'when-reachable', commandTimeoutMs: 900 } as const
  const redis = stack.use(await openRedis({ ...common, url: master.url }))
  replica = stack.use(await openRedis({ ...common, url: follower.url }))
  const clock = systemClock
  const onPolicyViolation = (error: Error): void => expect.fail(error.message)
  const options = { url: follower.url, timeoutMs: 900, registry, clock, log, onPolicyViolation }
  const found = await openCacheReplica(options)
  if (found !== undefined) stack.use(found)
  const breaker = createBreaker({ name: 'cache', judge: () => 'failure' })
  cache = createAnswerCache({ redis, replica: found, breaker, lockMs: 3_000, maxBytes: 1_000, clock, onBad: () => {} })
  await eventually('the replica is asked', async () => {
    return (await registry.metrics()).includes('analytics_replicas_usable{store="redis"} 1')
  })
})
afterAll(() => stack.disposeAsync())

async function store(key: string, generation: string): Promise<Entry> {
  const nowMs = Date.now()
  const times = { madeAtMs: nowMs, costMs: 1, freshUntilMs: nowMs + 60_000, staleUntilMs: nowMs + 60_000 }
  const facts = { status: 200, contentType: 'application/json', queryId: 'q', body: Buffer.from('{}') }
  const entry = { projectId: 'shop', key, generation, ...times, ...facts }
  await cache.write(entry)
  return entry
}

const key = 'query:{shop}:a'

it('looks an answer up on the replica, and on the master what is not there', async () => {
  const first = await cache.read('shop', key, 'any')
  expect(first).toMatchObject({ isLate: false, entry: undefined })
  const entry = await store(key, first.kind === 'read' ? first.generation : '')
  await eventually('the replica has it', async () => (await replica.command('EXISTS', key)) === 1)
  master.pause()
  expect(await cache.read('shop', key, 'any')).toMatchObject({ isLate: true, entry })
  expect(await cache.read('shop', key)).toEqual({ kind: 'away' })
  master.resume()
  await eventually('the master answers', async () => (await cache.read('shop', key)).kind === 'read')
})

it('does not believe a replica that has not heard of a purge of this process', async () => {
  await cache.purge('shop')
  expect(await cache.read('shop', key, 'any')).toMatchObject({ isLate: false, entry: undefined })
})

it('does not ask a replica that has become a server of its own', async () => {
  await replica.command('REPLICAOF', 'NO', 'ONE')
  await eventually('it is left out', async () => {
    return (await registry.metrics()).includes('analytics_replica_left_out_total{store="redis",reason="no_replica"} 1')
  })
  expect(await cache.read('shop', key, 'any')).toMatchObject({ isLate: false })
})
