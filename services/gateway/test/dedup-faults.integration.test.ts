// The gateway over a dedup Redis that is its own, so that it may be stopped, emptied and filled; and many sends of one id.
import { Agent, request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { rawTopic } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { fastestOf } from '@millrace/testkit/fastest-of'
import { openOwnRedis } from '@millrace/testkit/own-redis'
import type { OwnRedis } from '@millrace/testkit/own-redis'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { unique, uniqueProject } from '@millrace/testkit/unique'
import { openGateway } from './open-gateway.ts'
import type { TestGateway, TestGatewayOptions } from './open-gateway.ts'

const stack = new AsyncDisposableStack()
const endpoints = testEndpoints()
const project = uniqueProject('dedup-faults')
let admin: Admin

beforeAll(async () => {
  const kafka = stack.use(await openTestKafka())
  admin = await kafka.admin()
  const topic = { topic: rawTopic(project), partitions: 2, replicationFactor: 1, config: {} }
  stack.defer(() => admin.deleteTopics([topic.topic]))
  await admin.createTopics([topic])
})
afterAll(() => stack.disposeAsync())

const eventOf = (eventId: string): string => JSON.stringify({ eventId, eventType: 'page_view' })

/** Records in the log of the project. */
async function stored(): Promise<number> {
  return Number((await admin.ranges(rawTopic(project))).reduce((sum, { end, start }) => sum + end - start, 0n))
}

async function setup(
  more: Pick<TestGatewayOptions, 'redisTimeoutMs'> = {}
): Promise<{ gateway: TestGateway; server: OwnRedis; redis: Redis }> {
  const scene = new AsyncDisposableStack()
  onTestFinished(() => scene.disposeAsync())
  const server = scene.use(await openOwnRedis())
  const log = createSilentLogger()
  const redis = scene.use(await openRedis({ url: server.url, role: 'dedup', log, requirePolicy: 'now' }))
  const gateway = scene.use(
    await openGateway({ project, endpoints: { ...endpoints, REDIS_DEDUP_URL: server.url }, ...more })
  )
  return { gateway, server, redis }
}

const statusOf = async (gateway: TestGateway, body: string): Promise<number> => (await gateway.send(body)).status

describe('the dedup Redis', () => {
  it('stopped: events are accepted unchecked in time, and known once it goes on', async () => {
    const tookMs = await fastestOf(4, 500, async () => {
      const { gateway, server } = await setup()
      const first = eventOf(unique('before'))
      expect(await statusOf(gateway, first)).toBe(202)
      server.pause()
      const body = eventOf(unique('stopped'))
      const startedAt = performance.now()
      expect(await statusOf(gateway, body)).toBe(202)
      const stoppedMs = performance.now() - startedAt
      expect(await gateway.series()).toContain('analytics_dedup_unchecked_total 1')
      server.resume()
      // The mark of what was accepted meanwhile is written behind the answer.
      await expect.poll(() => statusOf(gateway, first), { interval: 100 }).toBe(409)
      await expect.poll(() => statusOf(gateway, body), { interval: 500 }).toBe(409)
      return stoppedMs
    })
    expect(tookMs).toBeLessThan(500)
  })

  it('emptied: a repeat is stored once more, and known from then on', async () => {
    const { gateway, redis } = await setup()
    const body = eventOf(unique('emptied'))
    expect([await statusOf(gateway, body), await statusOf(gateway, body)]).toEqual([202, 409])
    const before = await stored()
    await redis.command('FLUSHALL')
    expect([await statusOf(gateway, body), await statusOf(gateway, body)]).toEqual([202, 409])
    expect(await stored()).toBe(before + 1)
  })

  it('full: events are accepted unchecked, nothing half-written is left, and marks are written once there is room', async () => {
    const { gateway, redis } = await setup()
    expect(await statusOf(gateway, eventOf(unique('before')))).toBe(202)
    await redis.command('CONFIG', 'SET', 'maxmemory', '1')
    const keys = await redis.command('DBSIZE')
    const body = eventOf(unique('full'))
    expect(await statusOf(gateway, body)).toBe(202)
    expect(await redis.command('DBSIZE')).toBe(keys)
    expect(await gateway.series()).toContain('analytics_dedup_unchecked_total 1')
    await redis.command('CONFIG', 'SET', 'maxmemory', '0')
    await expect.poll(() => statusOf(gateway, body), { timeout: 10_000, interval: 1_500 }).toBe(409)
  })
})

describe('many sends of one id', () => {
  it('of 10,000 at once one is accepted, the others are told so or to repeat, and one copy is in the log', async () => {
    // Gateway and clients are this one process: with all of their sends in hand it may read a reply late.
    const { gateway } = await setup({ redisTimeoutMs: 20_000 })
    const before = await stored()
    const agent = new Agent({ keepAlive: true, maxSockets: 500 })
    onTestFinished(() => agent.destroy())
    const body = eventOf(unique('same'))
    const send = async (): Promise<string> => {
      const headers = { authorization: 'Bearer key', 'content-type': 'application/json' }
      const sent = request(`${gateway.url}/v1/events`, { agent, method: 'POST', headers })
      sent.end(body)
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      const { code = '' } = JSON.parse(await text(response)) as { code?: string }
      return `${response.statusCode} ${code}`.trim()
    }
    const counts = new Map<string, number>()
    for (const answer of await Promise.all(Array.from({ length: 10_000 }, send))) {
      counts.set(answer, (counts.get(answer) ?? 0) + 1)
    }
    expect(counts.get('202')).toBe(1)
    expect(counts.get('409')! + (counts.get('503 in_progress') ?? 0)).toBe(9_999)
    expect(counts.get('503 in_progress') ?? 0).toBeGreaterThan(0)
    expect(await stored()).toBe(before + 1)
  })
})
