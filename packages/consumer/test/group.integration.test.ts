// Three processes of one group on the real broker, under load, while processes die and freeze and topics change. The groups
// mostly wait for their sessions, so they do it side by side.
import { describe, expect, it } from 'vitest'
import type { Admin, ConsumerClient, KafkaRecord, Producer } from '@millrace/kafka'
import { systemClock } from '@millrace/kernel'
import { eventually } from '@millrace/testkit/eventually'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { unique } from '@millrace/testkit/unique'
import { parseLetter } from '../src/index.ts'
import { openGroup } from './group.ts'

const config = { 'message.timestamp.type': 'LogAppendTime' }

describe.concurrent.each(['lane', 'process'] as const)('a group of three processes, scope %s', (scope) => {
  it('handles every record and never commits past an unhandled one', { timeout: 90_000 }, async () => {
    await using kafka = await openTestKafka()
    await using admin = await kafka.admin()
    await using producer = await kafka.producer()
    const prefix = unique('consumer')
    const [a, b] = [`${prefix}.a`, `${prefix}.b`]
    await admin.createTopics([
      { topic: a, partitions: 4, replicationFactor: 1, config },
      { topic: `${prefix}.dlq`, partitions: 1, replicationFactor: 1, config }
    ])
    await using group = await openGroup(admin, { group: `${prefix}-g`, prefix, scope })
    const [first, second] = await Promise.all([group.start(), group.start(), group.start()])
    const load = startLoad(producer, [a])
    const overtaken: string[] = []
    const check = async (): Promise<void> => void overtaken.push(...(await group.overtaken(new Set())))

    await systemClock.sleep(1_500)
    first.signal('SIGKILL')
    expect(await first.exited).toBe('SIGKILL')
    await check()
    second.signal('SIGSTOP')
    await admin.createTopics([{ topic: b, partitions: 2, replicationFactor: 1, config }])
    await admin.growPartitions(a, 6)
    load.topics.push(b)
    // Longer than the session timeout of the frozen process.
    for (let second = 0; second < 10; second++) {
      await systemClock.sleep(1_000)
      await check()
    }
    second.signal('SIGCONT')
    await group.start()
    await systemClock.sleep(2_000)
    await check()
    const sent = await load.stop()
    expect(sent.size).toBeGreaterThan(1_000)
    expect(new Set([...sent].map((place) => place.slice(0, place.lastIndexOf(':')))).size).toBe(8)

    await eventually('every record is committed', () => isCommitted(admin, `${prefix}-g`, [a, b]), {
      timeoutMs: 45_000
    })
    await check()
    expect(overtaken).toEqual([])
    const handled = await group.handled()
    expect([...sent].filter((place) => !handled.has(place))).toEqual([])
    await admin.deleteTopics([a, b, `${prefix}.dlq`])
  })
})

describe.concurrent('a process of a group', () => {
  it('writes letters with the bytes unchanged, up to the largest record, and stops in order', async () => {
    await using kafka = await openTestKafka()
    await using admin = await kafka.admin()
    await using producer = await kafka.producer()
    const prefix = unique('consumer')
    await admin.createTopics([
      { topic: `${prefix}.a`, partitions: 1, replicationFactor: 1, config },
      {
        topic: `${prefix}.dlq`,
        partitions: 1,
        replicationFactor: 1,
        config: { ...config, 'max.message.bytes': String(2 * 1024 ** 2) }
      }
    ])
    await using group = await openGroup(admin, { group: `${prefix}-g`, prefix, scope: 'lane' })
    const member = await group.start()
    const huge = Buffer.alloc(1_040_000, 'x')
    huge.write('bad')
    const values = [
      Buffer.from('good'),
      huge,
      Buffer.from('bad\xff', 'latin1'),
      Buffer.from('wide'),
      Buffer.from('good')
    ]
    const key = Buffer.from([0xfe, 0])
    for (const value of values) {
      const [outcome] = await producer.produce(`${prefix}.a`, [{ partition: 0, key, value, headers: { own: 'kept' } }])
      expect(outcome?.kind).toBe('acked')
    }
    await eventually('every record is committed', () => isCommitted(admin, `${prefix}-g`, [`${prefix}.a`]))
    member.signal('SIGTERM')
    expect(await member.exited).toBe(0)

    const letters = await readAll(kafka.consumers, admin, `${prefix}.dlq`)
    expect(letters.map((record) => [record.key, record.value])).toEqual([
      [key, huge],
      [key, values[2]],
      [key, values[3]]
    ])
    const read = letters.map((record) => parseLetter(record))
    expect(
      read.map((letter) => [letter?.id, letter?.reason, letter?.stage, letter?.headers['own']?.toString()])
    ).toEqual([
      [`${prefix}-g:${prefix}.a:0:1`, 'parse', 'decode', 'kept'],
      [`${prefix}-g:${prefix}.a:0:2`, 'parse', 'decode', 'kept'],
      [`${prefix}-g:${prefix}.a:0:3`, 'size', 'handle', 'kept']
    ])
    await admin.deleteTopics([`${prefix}.a`, `${prefix}.dlq`])
  })
})

/** Produces to all partitions of `topics`, which may grow, until stopped; `stop` resolves with what was acknowledged. */
function startLoad(producer: Producer, topics: string[]) {
  const sent = new Set<string>()
  let running = true
  const loop = async (): Promise<void> => {
    while (running) {
      for (const topic of topics) {
        const partitions = await producer.partitionCount(topic).catch(() => 0)
        const records = Array.from({ length: partitions * 3 }, (_, index) => {
          return { partition: index % partitions, key: null, value: Buffer.from('good') }
        })
        const outcomes = await producer.produce(topic, records)
        for (const [index, outcome] of outcomes.entries())
          if (outcome.kind === 'acked') sent.add(`${topic}:${records[index]?.partition}:${outcome.offset}`)
      }
      await systemClock.sleep(50)
    }
  }
  const looping = loop()
  return {
    topics,
    async stop(): Promise<ReadonlySet<string>> {
      running = false
      await looping
      return sent
    }
  }
}

async function isCommitted(admin: Admin, group: string, topics: readonly string[]): Promise<boolean> {
  for (const topic of topics) {
    const [ranges, offsets] = [await admin.ranges(topic), await admin.groupOffsets(group, topic)]
    for (const { partition, end } of ranges) if ((offsets.get(partition) ?? 0n) !== end) return false
  }
  return true
}

/** Every record of a topic, partition after partition. */
async function readAll(client: ConsumerClient, admin: Admin, topic: string): Promise<readonly KafkaRecord[]> {
  const records: KafkaRecord[] = []
  const member = await client.join(
    {
      groupId: unique('reader'),
      topics: async () => [topic],
      fallback: 'earliest',
      sessionTimeoutMs: 10_000,
      heartbeatIntervalMs: 1_000,
      rebalanceTimeoutMs: 10_000,
      topicRefreshMs: 30_000,
      maxBytesPerPartition: 4 * 1024 ** 2,
      maxWaitMs: 100
    },
    {
      onAssigned: async () => new Map(),
      onRevoking: async () => {},
      onBatch: async (batch) => void records.push(...batch.records),
      onOutOfRange: () => {},
      onFatal: () => {}
    }
  )
  const count = (await admin.ranges(topic)).reduce((sum, { start, end }) => sum + end - start, 0n)
  await eventually('every letter is read', () => BigInt(records.length) === count)
  await member.stop()
  return records
}
