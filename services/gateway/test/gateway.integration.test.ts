import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { rawTopic } from '@millrace/contracts'
import { partitionFor } from '@millrace/kafka'
import type { Admin, Kafka } from '@millrace/kafka'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { openTcpProxy } from '@millrace/testkit/faults/tcp-proxy'
import type { TcpProxy } from '@millrace/testkit/faults/tcp-proxy'
import { fastestOf } from '@millrace/testkit/fastest-of'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { unique, uniqueProject } from '@millrace/testkit/unique'
import { badInputs } from './bad-input.ts'
import { openGateway } from './open-gateway.ts'
import type { TestGateway, TestGatewayOptions } from './open-gateway.ts'

const stack = new AsyncDisposableStack()
const endpoints = testEndpoints()
const project = uniqueProject('gateway')
let kafka: Kafka
let admin: Admin
let gateway: TestGateway

beforeAll(async () => {
  kafka = stack.use(await openTestKafka())
  admin = await kafka.admin()
  const topic = { topic: rawTopic(project), partitions: 4, replicationFactor: 1, config: {} }
  stack.defer(() => admin.deleteTopics([topic.topic]))
  await admin.createTopics([topic])
  gateway = stack.use(await openGateway({ project, endpoints }))
})
afterAll(() => stack.disposeAsync())

const eventOf = (eventId: string): string => JSON.stringify({ eventId, eventType: 'page_view' })

/** Records in the log of the project. */
async function stored(): Promise<bigint> {
  return (await admin.ranges(rawTopic(project))).reduce((sum, { end, start }) => sum + end - start, 0n)
}

/** A gateway of its own whose Redis connection passes a proxy. */
async function openBehindProxy(): Promise<{ proxied: TestGateway; proxy: TcpProxy }> {
  const { hostname, port, pathname } = new URL(endpoints.REDIS_DEDUP_URL)
  const proxy = await openTcpProxy({ target: { host: hostname, port: Number(port) } })
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  const proxied = await open({ ...endpoints, REDIS_DEDUP_URL: `redis://${proxy.host}:${proxy.port}${pathname}` })
  return { proxied, proxy }
}

async function open(own: TestGatewayOptions['endpoints']): Promise<TestGateway> {
  const opened = await openGateway({ project, endpoints: own })
  onTestFinished(() => opened[Symbol.asyncDispose]())
  return opened
}

describe('the gateway on the real stack', () => {
  it('stores an event once and answers 409 to its repeats', async () => {
    const before = await stored()
    const eventId = unique('e')
    expect(await gateway.send(eventOf(eventId))).toEqual({
      status: 202,
      retryAfter: null,
      body: { status: 'accepted', eventId }
    })
    expect(await stored()).toBe(before + 1n)
    expect(await gateway.send(eventOf(eventId))).toEqual({
      status: 409,
      retryAfter: null,
      body: { status: 'duplicate', eventId }
    })
    expect(await stored()).toBe(before + 1n)
  })

  it('stores 500 events, and answers 409 to all 500 repeats without storing anything', async () => {
    const before = await stored()
    const ids = Array.from({ length: 500 }, () => unique('many'))
    const sendAll = async (): Promise<Record<number, number>> => {
      const counts: Record<number, number> = {}
      for (const { status } of await Promise.all(ids.map((id) => gateway.send(eventOf(id))))) {
        counts[status] = (counts[status] ?? 0) + 1
      }
      return counts
    }
    expect(await sendAll()).toEqual({ 202: 500 })
    expect(await stored()).toBe(before + 500n)
    expect(await sendAll()).toEqual({ 409: 500 })
    expect(await stored()).toBe(before + 500n)
  })

  it('stores one of 300 concurrent sends of one id', async () => {
    const before = await stored()
    const body = eventOf(unique('same'))
    const answers = await Promise.all(Array.from({ length: 300 }, () => gateway.send(body)))
    const accepted = answers.filter(({ status }) => status === 202)
    const others = answers.filter(({ status }) => status !== 202)
    expect(accepted).toHaveLength(1)
    expect(
      others.filter(({ status, body }) => status === 409 || (status === 503 && body['code'] === 'in_progress'))
    ).toHaveLength(299)
    expect(await stored()).toBe(before + 1n)
  })

  it('puts an event into the partition of its id', async () => {
    const eventId = unique('read')
    const ends = new Map((await admin.ranges(rawTopic(project))).map(({ partition, end }) => [partition, end]))
    await gateway.send(`${eventOf(eventId).slice(0, -1)},"properties":{"big":1e15,"text":"größe"}}`)
    const [grown] = (await admin.ranges(rawTopic(project))).filter(({ partition, end }) => end !== ends.get(partition))
    expect(grown?.partition).toBe(partitionFor(eventId, 4))
  })

  it('refuses every body of the corpus, stores nothing of it, and takes a good event after each', async () => {
    for (const bad of badInputs) {
      const before = await stored()
      const { status, body } = await gateway.send(bad.body)
      expect({ name: bad.name, status, code: body['code'], pointer: body['pointer'] ?? null }).toEqual({
        name: bad.name,
        status: bad.status,
        code: bad.code,
        pointer: bad.pointer
      })
      expect(await stored()).toBe(before)
      expect((await gateway.send(eventOf(unique('good')))).status).toBe(202)
      expect(await stored()).toBe(before + 1n)
    }
  })

  it('takes the largest event', async () => {
    const eventId = unique('large')
    const empty = JSON.stringify({ eventId, eventType: 'a', properties: { pad: '' } })
    const body = empty.replace('""}', `"${'x'.repeat(256 * 1024 - empty.length)}"}`)
    expect(Buffer.byteLength(body)).toBe(256 * 1024)
    expect((await gateway.send(body)).status).toBe(202)
  })
})

describe('without Redis', () => {
  it('accepts unchecked while connections are refused, and checks again afterwards', async () => {
    const { proxied, proxy } = await openBehindProxy()
    const first = eventOf(unique('before'))
    expect((await proxied.send(first)).status).toBe(202)
    const rule = proxy.add({ kind: 'refuse' })
    proxy.resetAll()
    const before = await stored()
    const body = eventOf(unique('down'))
    expect((await proxied.send(body)).status).toBe(202)
    expect((await proxied.send(body)).status).toBe(202)
    expect(await stored()).toBe(before + 2n)
    expect(await proxied.series()).toContain('analytics_dedup_unchecked_total 2')
    rule[Symbol.dispose]()
    await expect.poll(async () => (await proxied.send(first)).status, { timeout: 10_000, interval: 100 }).toBe(409)
  })

  it('accepts unchecked within half a second while Redis is silent', async () => {
    const tookMs = await fastestOf(4, 500, async () => {
      const { proxied, proxy } = await openBehindProxy()
      expect((await proxied.send(eventOf(unique('before')))).status).toBe(202)
      proxy.add({ kind: 'blackhole', direction: 'both' })
      const startedAt = performance.now()
      expect((await proxied.send(eventOf(unique('silent')))).status).toBe(202)
      const silentMs = performance.now() - startedAt
      expect(await proxied.series()).toContain('analytics_dedup_unchecked_total 1')
      return silentMs
    })
    expect(tookMs).toBeLessThan(500)
  })
})

describe('without Kafka', () => {
  it('answers 503 with Retry-After, does not hang, and leaves no mark behind', async () => {
    const tookMs = await fastestOf(3, 5_000, async () => {
      const apart = await open({ ...endpoints, KAFKA_BROKERS: '127.0.0.1:1' })
      const body = eventOf(unique('nowhere'))
      const startedAt = performance.now()
      const answers = await Promise.all(Array.from({ length: 20 }, () => apart.send(eventOf(unique('nowhere')))))
      answers.push(await apart.send(body))
      const answeredMs = performance.now() - startedAt
      expect(
        new Set(answers.map(({ status, retryAfter, body }) => `${status} ${retryAfter} ${String(body['code'])}`))
      ).toEqual(new Set(['503 5 unavailable']))
      expect((await gateway.send(body)).status).toBe(202)
      return answeredMs
    })
    expect(tookMs).toBeLessThan(5_000)
  })
})

describe('the end of a gateway', () => {
  it('answers every request it has taken', async () => {
    const own = await openGateway({ project, endpoints, keyDelayMs: 200 })
    const before = await stored()
    const sending = Promise.all(Array.from({ length: 200 }, () => own.send(eventOf(unique('last')))))
    await expect.poll(own.taken, { interval: 5 }).toBe(200)
    await own.stop()
    expect(new Set((await sending).map(({ status }) => status))).toEqual(new Set([202]))
    expect(await stored()).toBe(before + 200n)
    await expect(own.send(eventOf(unique('after')))).rejects.toThrow('fetch failed')
  })
})
