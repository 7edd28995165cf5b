// What only a real broker can show: codecs, the largest record, sessions that expire, brokers that are not there. The tests
// mostly wait, each on topics of its own, so they wait side by side.
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { eventually } from '@millrace/testkit/eventually'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { openKafkaProxies } from '@millrace/testkit/faults/gateway/kafka-proxies'
import { kafkaRequest } from '@millrace/testkit/faults/proxy-rules'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { unique } from '@millrace/testkit/unique'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Admin, Kafka, ProduceRecord } from '../src/port.ts'
import { incompressible } from './contract.ts'
import { openReader, values } from './reader.ts'

const topicRefreshMs = 2_000
/** API key of the request that every join begins with. */
const findCoordinator = 10
const withError =
  (code: number) =>
  (reply: Buffer): Buffer => {
    const changed = Buffer.from(reply)
    changed.writeInt16BE(code, 12)
    return changed
  }
const open: { kafka?: Kafka; admin?: Admin } = {}
beforeAll(async () => {
  open.kafka = await openTestKafka()
  open.admin = await open.kafka.admin()
})
afterAll(async () => {
  await open.kafka?.[Symbol.asyncDispose]()
})
const kafka = (): Kafka => open.kafka ?? fail()
const admin = (): Admin => open.admin ?? fail()
function fail(): never {
  throw new Error('Kafka did not open')
}
async function newTopic(partitions: number, config: Record<string, string> = {}): Promise<string> {
  const topic = unique('driver')
  await admin().createTopics([{ topic, partitions, replicationFactor: 1, config }])
  return topic
}
const numbers = (count: number, partition = 0): readonly ProduceRecord[] =>
  Array.from({ length: count }, (_, index) => ({ partition, key: null, value: Buffer.from(String(index)) }))

test.concurrent('records of every codec are read back in one topic', async () => {
  const topic = await newTopic(1)
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    await using producer = await kafka().producer({ compression })
    const value = Buffer.from(compression.repeat(1_000))
    const outcomes = await producer.produce(topic, [{ partition: 0, key: compression, value }])
    expect(outcomes.map(({ kind }) => kind)).toEqual(['acked'])
  }
  await using reader = await openReader(kafka().consumers, { groupId: unique('g'), topics: [topic], topicRefreshMs })
  await eventually('three records', () => reader.records.length === 3)
  expect(reader.records.map(({ key, value }) => [key?.toString(), value?.length])).toEqual([
    ['none', 4_000],
    ['gzip', 4_000],
    ['zstd', 4_000]
  ])
})

test.concurrent('five thousand records of one partition get five thousand offsets without a gap', async () => {
  const topic = await newTopic(1)
  await using producer = await kafka().producer()
  const outcomes = await producer.produce(topic, numbers(5_000))
  expect(outcomes.map((outcome) => (outcome.kind === 'acked' ? outcome.offset : outcome.kind))).toEqual(
    Array.from({ length: 5_000 }, (_, index) => BigInt(index))
  )
})

test.concurrent('the largest record that a dead-letter topic takes is read by a member with small fetches', async () => {
  const topic = await newTopic(1, { 'max.message.bytes': '2097152' })
  await using producer = await kafka().producer()
  const value = incompressible(2_097_152 - 1_024)
  const outcomes = await producer.produce(topic, [
    { partition: 0, key: 'large', value },
    { partition: 0, key: 'larger', value: incompressible(2_097_152) },
    { partition: 0, key: 'small', value: Buffer.from('s') }
  ])
  expect(outcomes.map(({ kind }) => kind)).toEqual(['acked', 'refused', 'acked'])
  await using reader = await openReader(kafka().consumers, {
    groupId: unique('g'),
    topics: [topic],
    topicRefreshMs,
    maxBytesPerPartition: 64 * 1024
  })
  await eventually('both', () => reader.records.length === 2)
  expect(reader.records[0]?.value?.equals(value)).toBe(true)
  expect(reader.records[1]?.value?.toString()).toBe('s')
})

test.concurrent('offsets are read while topics are created on the same connection', async () => {
  const topic = await newTopic(3)
  let creating = true
  const created = Promise.all(Array.from({ length: 4 }, () => newTopic(1))).finally(() => (creating = false))
  while (creating) {
    const read = await Promise.all(Array.from({ length: 5 }, () => admin().ranges(topic)))
    expect(read.map((ranges) => ranges.length)).toEqual([3, 3, 3, 3, 3])
  }
  await created
})

test.concurrent('a broker that cannot be reached leaves a record unknown and certainly not stored', async () => {
  await using dead = await openTestKafka({ KAFKA_BROKERS: '127.0.0.1:1' })
  await using producer = await dead.producer({ ackTimeoutMs: 1_000 })
  const [outcome] = await producer.produce('any', numbers(1))
  expect(outcome).toMatchObject({ kind: 'unknown', notStored: true })
  await expect(dead.admin()).rejects.toMatchObject({ code: 'PIPE_KAFKA_UNAVAILABLE' })
})

test.concurrent('a member without a broker waits, is not dead, and stops at once', async () => {
  await using dead = await openTestKafka({ KAFKA_BROKERS: '127.0.0.1:1' })
  const reader = await openReader(dead.consumers, { groupId: 'g', topics: ['t'], topicRefreshMs })
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  expect(reader.log).toEqual([])
  const before = performance.now()
  await reader.member.stop()
  expect(performance.now() - before).toBeLessThan(15_000)
})

test.concurrent('a broker that takes connections and says nothing costs the time of the ack, not more', async () => {
  const server = createServer(() => undefined).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  // The server listens on TCP, so its address is an object.
  const { port } = server.address() as AddressInfo
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  const before = performance.now()
  {
    await using silent = await openTestKafka({ KAFKA_BROKERS: `127.0.0.1:${port}` })
    const producer = await silent.producer({ ackTimeoutMs: 1_000 })
    const [outcome] = await producer.produce('any', numbers(1))
    expect(outcome?.kind).toBe('unknown')
    expect(performance.now() - before).toBeLessThan(10_000)
  }
  expect(performance.now() - before).toBeLessThan(40_000)
  for (const socket of sockets) socket.destroy()
  server.close()
})

test.concurrent('a member that was dropped commits nothing: its generation is over', async () => {
  const topic = await newTopic(1)
  await using producer = await kafka().producer()
  const groupId = unique('g')
  const { promise: stuck, resolve: release } = Promise.withResolvers<void>()
  const options = { groupId, topics: [topic], topicRefreshMs: 60_000, sessionTimeoutMs: 6_000 }
  await using a = await openReader(kafka().consumers, { ...options, onBatch: () => stuck })
  await producer.produce(topic, numbers(1))
  await eventually('stuck', () => a.records.length === 1)
  await using b = await openReader(kafka().consumers, options)
  await eventually('the other one took over', () => b.records.length === 1, { timeoutMs: 30_000 })
  expect(await b.member.commit([{ topic, partition: 0, offset: 1n }])).toBe('committed')
  expect(await a.member.commit([{ topic, partition: 0, offset: 0n }])).toBe('fenced')
  expect(await admin().groupOffsets(groupId, topic)).toEqual(new Map([[0, 1n]]))
  release()
  await eventually('the first one joined again', () => (a.held()?.length ?? 0) + (b.held()?.length ?? 0) === 1)
  expect([a.errors, b.errors]).toEqual([[], []])
})

test.concurrent('a member that is stopped while it joins is in no group afterwards', async () => {
  const topic = await newTopic(2)
  const groupId = unique('g')
  await using behind = await openKafkaProxies(testEndpoints().KAFKA_BROKERS)
  // COORDINATOR_NOT_AVAILABLE, behind length, correlation id and throttle time: the client asks again and again.
  const away = behind.proxies.map((proxy) =>
    proxy.add({ kind: 'change-reply', when: kafkaRequest(findCoordinator), times: 3, change: withError(15) })
  )
  const asked = (): number => away.reduce((sum, rule) => sum + rule.acted(), 0)
  await using hurt = await openTestKafka({ KAFKA_BROKERS: behind.brokers })
  const options = { groupId, topics: [topic], topicRefreshMs: 60_000, sessionTimeoutMs: 6_000 }
  await using reader = await openReader(hurt.consumers, options)
  await eventually('the join to be under way', () => asked() > 0, { intervalMs: 5 })
  await reader.member.stop()
  // The broker refuses this as long as anybody is in the group.
  await admin().setGroupOffsets(groupId, topic, new Map([[0, 0n]]))
  expect(reader.log).toEqual([])
})

test.concurrent('a paused member keeps its session', async () => {
  const topic = await newTopic(1)
  await using producer = await kafka().producer()
  const options = { groupId: unique('g'), topics: [topic], topicRefreshMs: 60_000, sessionTimeoutMs: 6_000 }
  await using reader = await openReader(kafka().consumers, options)
  await producer.produce(topic, numbers(1))
  await eventually('one', () => reader.records.length === 1)
  reader.member.pause([{ topic, partition: 0 }])
  await new Promise((resolve) => setTimeout(resolve, 8_000))
  expect(await reader.member.commit([{ topic, partition: 0, offset: 1n }])).toBe('committed')
  expect(reader.log.filter((entry) => entry === 'assigned').length).toBe(1)
})

test.concurrent.each([
  ['a TypeError', new TypeError('handler bug')],
  ['any other error', new Error('handler bug')]
])('%s from a handler ends the member loudly and only once', async (_kind, error) => {
  const topic = await newTopic(1)
  await using producer = await kafka().producer()
  await using reader = await openReader(kafka().consumers, {
    groupId: unique('g'),
    topics: [topic],
    topicRefreshMs,
    onBatch: () => Promise.reject(error)
  })
  await producer.produce(topic, numbers(3))
  await eventually('dead', () => reader.errors.length === 1)
  const [fatal] = reader.errors
  expect(fatal).toMatchObject({ code: 'PIPE_KAFKA_FATAL' })
  const calls = reader.log.length
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  expect(reader.log.length).toBe(calls)
  expect(await reader.member.commit([{ topic, partition: 0, offset: 1n }])).toBe('fenced')
})

test.concurrent('records that retention removed under a slow reader are reported, not skipped in silence', async () => {
  const topic = await newTopic(1)
  await using producer = await kafka().producer()
  await producer.produce(topic, numbers(5))
  await using reader = await openReader(kafka().consumers, { groupId: unique('g'), topics: [topic], topicRefreshMs })
  await eventually('five', () => reader.records.length === 5)
  reader.member.pause([{ topic, partition: 0 }])
  await producer.produce(topic, numbers(5))
  await trim(topic, '8')
  reader.member.resume([{ topic, partition: 0 }])
  await eventually('the rest', () => reader.records.length === 7)
  expect(reader.log).toContain(`out-of-range ${topic}:0 5 8`)
  expect(values(reader.records.slice(5))).toEqual(['3', '4'])
})

async function trim(topic: string, offset: string): Promise<void> {
  const { default: kafkajs } = await import('kafkajs')
  const { testEndpoints } = await import('@millrace/testkit/endpoints')
  const brokers = testEndpoints().KAFKA_BROKERS.split(',')
  const trimmer = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING }).admin()
  await trimmer.connect()
  await trimmer.fetchTopicOffsets(topic)
  await trimmer.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] })
  await trimmer.disconnect()
}
