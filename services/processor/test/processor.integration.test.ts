import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dlqTopic, processedTopic, rawTopic } from '@millrace/contracts'
import { partitionFor } from '@millrace/kafka'
import type { Admin, Kafka, KafkaRecord, ProduceRecord, Producer } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import { eventually } from '@millrace/testkit/eventually'
import { scanTopic } from '@millrace/testkit/faults/scan-topic'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { uniqueProject } from '@millrace/testkit/unique'
import { createProjectTopics, startWorker } from '@millrace/testkit/worker'

const stack = new AsyncDisposableStack()
let kafka: Kafka
let admin: Admin
let producer: Producer

beforeAll(async () => {
  kafka = stack.use(await openTestKafka())
  admin = stack.use(await kafka.admin())
  producer = stack.use(await kafka.producer())
})
afterAll(() => stack.disposeAsync())

const event = (id: string): ProduceRecord => ({
  partition: partitionFor(id, 4),
  key: id,
  value: Buffer.from(JSON.stringify({ eventId: id, eventType: 'view', receivedAt: '2026-06-01T12:00:00.000Z' }))
})
const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `e-${index}`)

async function newProject(): Promise<string> {
  const project = uniqueProject('process')
  await createProjectTopics(admin, project)
  return project
}

/** Appends to the raw topic and tells where, in the order given. */
async function produce(project: string, records: readonly ProduceRecord[]): Promise<readonly bigint[]> {
  const outcomes = await producer.produce(rawTopic(project), records)
  return outcomes.map((outcome) => {
    if (outcome.kind !== 'acked') throw new Error(`${outcome.kind}: ${outcome.message}`)
    return outcome.offset
  })
}

const scan = (topic: string): Promise<readonly KafkaRecord[]> =>
  scanTopic({ admin, client: kafka.consumers, clock: systemClock }, topic)
const header = (record: KafkaRecord | undefined, name: string): string | undefined => record?.headers[name]?.toString()
const idOf = (record: KafkaRecord): string => (JSON.parse(String(record.value)) as { eventId: string }).eventId

async function length(topic: string): Promise<number> {
  const ranges = await admin.ranges(topic)
  return ranges.reduce((sum, { start, end }) => sum + Number(end - start), 0)
}

async function eventuallyHolds(topic: string, count: number): Promise<void> {
  const holds = async (): Promise<boolean> => (await length(topic)) >= count
  await eventually(`${topic} holds ${count} records`, holds, { timeoutMs: 40_000, intervalMs: 100 })
}

async function eventuallyCommitted(group: string, project: string): Promise<void> {
  const ranges = await admin.ranges(rawTopic(project))
  await eventually(
    `${group} committed the end of ${rawTopic(project)}`,
    async () => {
      const offsets = await admin.groupOffsets(group, rawTopic(project))
      return ranges.every(({ partition, end }) => end === 0n || offsets.get(partition) === end)
    },
    { timeoutMs: 30_000 }
  )
}

/** Whether the process is stopped by a signal. */
async function isStopped(pid: number | undefined): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return /^State:\s+T/m.test(status)
}

describe('processor', () => {
  it('publishes every event once, enriched, with key, partition and raw coordinates', async () => {
    const project = await newProject()
    await using processor = await startWorker({ service: 'processor', project })
    const offsets = await produce(project, ids(1_000).map(event))
    await eventuallyCommitted(processor.group, project)
    const records = await scan(processedTopic(project))
    expect(records.map(idOf).toSorted()).toEqual(ids(1_000).toSorted())
    const record = records.find((candidate) => idOf(candidate) === 'e-7')
    expect(record?.partition).toBe(partitionFor('e-7', 4))
    expect(record?.key?.toString()).toBe('e-7')
    expect([header(record, 'raw.topic'), header(record, 'raw.partition'), header(record, 'raw.offset')]).toEqual([
      rawTopic(project),
      String(partitionFor('e-7', 4)),
      String(offsets[7])
    ])
    expect(JSON.parse(String(record?.value))).toMatchObject({
      projectId: project,
      eventId: 'e-7',
      eventType: 'view',
      timestamp: '2026-06-01T12:00:00.000Z',
      trafficSource: 'direct',
      offset: Number(offsets[7])
    })
    expect(await length(dlqTopic(project))).toBe(0)
  })

  it('writes a letter with unchanged bytes for each record that is not an event, and its neighbours land', async () => {
    const project = await newProject()
    await using processor = await startWorker({ service: 'processor', project })
    const noise = randomBytes(1_040_000)
    const bad: [value: Buffer | null, reason: string][] = [
      [Buffer.from('not JSON'), 'parse'],
      [Buffer.alloc(0), 'parse'],
      [null, 'parse'],
      [noise, 'parse'],
      [Buffer.from(`{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`), 'schema'],
      [Buffer.from('{"eventId":"x","eventType":7}'), 'schema'],
      [Buffer.from('{"eventId":"x","eventType":"a","properties":{"n":9007199254740993}}'), 'schema']
    ]
    const records = bad.flatMap(([value], index): ProduceRecord[] => [
      { ...event(`before-${index}`), partition: 1 },
      { partition: 1, key: `bad-${index}`, value, headers: { origin: 'a tool' } },
      { ...event(`after-${index}`), partition: 1 }
    ])
    const offsets: bigint[] = []
    for (const record of records) offsets.push(...(await produce(project, [record])))
    await eventuallyCommitted(processor.group, project)
    const good = await scan(processedTopic(project))
    expect(good.map(idOf)).toEqual(bad.flatMap((_, index) => [`before-${index}`, `after-${index}`]))
    const letters = await scan(dlqTopic(project))
    expect(letters.length).toBe(bad.length)
    for (const [index, [value, reason]] of bad.entries()) {
      const letter = letters.find(({ key }) => key?.toString() === `bad-${index}`)
      const offset = String(offsets[index * 3 + 1])
      expect(letter?.value === null ? null : letter?.value?.equals(value ?? Buffer.alloc(0))).toBe(
        value === null ? null : true
      )
      expect(header(letter, 'dlq.id')).toBe(`${processor.group}:${rawTopic(project)}:1:${offset}`)
      expect([header(letter, 'dlq.error-class'), header(letter, 'dlq.error-code'), header(letter, 'origin')]).toEqual([
        reason,
        'PIPE_NOT_AN_EVENT',
        'a tool'
      ])
    }
  })

  it('loses nothing when it is killed after a produce, before the commit', async () => {
    const project = await newProject()
    await produce(project, ids(1_000).map(event))
    await using processor = await startWorker({
      service: 'processor',
      project,
      env: { BATCH_SIZE: '100', SESSION_TIMEOUT_MS: '6s', HEARTBEAT_INTERVAL_MS: '500' },
      firstEnv: { MILLRACE_FAULTS: 'processor.after-produce:kill:3' }
    })
    await eventuallyHolds(processedTopic(project), 1_001)
    await eventuallyCommitted(processor.group, project)
    const records = await scan(processedTopic(project))
    expect([...new Set(records.map(idOf))].toSorted()).toEqual(ids(1_000).toSorted())
    expect(processor.service.starts).toBe(2)
    const coordinates = records.map((record) => `${header(record, 'raw.partition')}:${header(record, 'raw.offset')}`)
    expect(new Set(coordinates).size).toBe(1_000)
    expect(records.length).toBeGreaterThan(1_000)
  })

  it('loses nothing and keeps the order of each partition when a frozen member wakes up after it was replaced', async () => {
    const project = await newProject()
    const env = { BATCH_SIZE: '50', SESSION_TIMEOUT_MS: '6s', HEARTBEAT_INTERVAL_MS: '500' }
    const firstEnv = { MILLRACE_FAULTS: 'processor.before-produce:stop:4' }
    await using frozen = await startWorker({ service: 'processor', project, env, firstEnv })
    await produce(project, ids(1_000).map(event))
    await eventually('the first member is frozen with a batch in hand', () => isStopped(frozen.service.pid))
    const { group } = frozen
    await using _second = await startWorker({ service: 'processor', project, env, group })
    await eventuallyCommitted(group, project)
    const before = await length(processedTopic(project))
    frozen.service.kill('SIGCONT')
    await eventuallyHolds(processedTopic(project), before + 1)
    await produce(project, ids(1_200).slice(1_000).map(event))
    await eventuallyCommitted(group, project)
    const records = await scan(processedTopic(project))
    expect(new Set(records.map(idOf))).toEqual(new Set(ids(1_200)))
    for (const partition of [0, 1, 2, 3]) {
      const offsets = records
        .filter((record) => record.partition === partition)
        .map((record) => Number(header(record, 'raw.offset')))
      const firsts = [...new Set(offsets)]
      expect(firsts).toEqual(firsts.toSorted((left, right) => left - right))
      expect(firsts.at(-1)).toBe(firsts.length - 1)
    }
    expect(records.length).toBeGreaterThan(1_200)
  })

  it('waits while the processed topic has fewer partitions than the raw one, and goes on when it has grown', async () => {
    const project = await newProject()
    await admin.growPartitions(rawTopic(project), 5)
    await using processor = await startWorker({ service: 'processor', project })
    const late = { ...event('late'), partition: 4 }
    await produce(project, [late, event('e-1')])
    await eventuallyHolds(processedTopic(project), 1)
    await eventually('the processor has tried twice', async () => {
      const series = await (await fetch(`${processor.service.url}/metrics`)).text()
      return Number(/analytics_consumer_retries_total\{[^}]*\} (\d+)$/m.exec(series)?.[1] ?? 0) >= 2
    })
    expect((await scan(processedTopic(project))).map(idOf)).toEqual(['e-1'])
    await admin.growPartitions(processedTopic(project), 5)
    await eventuallyHolds(processedTopic(project), 2)
    const record = (await scan(processedTopic(project))).find((candidate) => idOf(candidate) === 'late')
    expect(record?.partition).toBe(4)
    expect(await length(dlqTopic(project))).toBe(0)
  })
})
