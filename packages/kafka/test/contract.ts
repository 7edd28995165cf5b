// What every driver of the Kafka port promises. The memory driver and the broker driver run the same suite, so that a
// test on the one says something about the other.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '@millrace/testkit/eventually'
import { unique } from '@millrace/testkit/unique'
import type { Admin, ConsumerClient, LogSampler, ProduceOutcome, Producer, TopicPartition } from '../src/port.ts'
import { openReader, values } from './reader.ts'

/** A cluster under test. */
export interface ContractCluster extends AsyncDisposable {
  readonly admin: Admin
  readonly sampler: LogSampler
  readonly producer: Producer
  readonly consumers: ConsumerClient
  /** Drops the records before `start`, as retention does. */
  trim(partition: TopicPartition, start: bigint): Promise<void>
}

export interface ContractOptions {
  readonly name: string
  readonly open: () => Promise<ContractCluster>
  readonly topicRefreshMs: number
  /** Longest time in which grown partitions come in by themselves. */
  readonly growthMs: number
}

/** Declares the suite for one driver. */
export function kafkaContract({ name, open, topicRefreshMs, growthMs }: ContractOptions): void {
  describe(`the Kafka port on ${name}`, () => {
    const state: { cluster?: ContractCluster } = {}
    beforeAll(async () => {
      state.cluster = await open()
    })
    afterAll(async () => {
      await state.cluster?.[Symbol.asyncDispose]()
    })
    const cluster = (): ContractCluster => {
      if (state.cluster === undefined) throw new Error('the cluster did not open')
      return state.cluster
    }
    const newTopic = async (partitions: number, config: Record<string, string> = {}): Promise<string> => {
      const topic = unique('contract')
      await cluster().admin.createTopics([
        { topic, partitions, replicationFactor: 1, config: { ...logAppendTime, ...config } }
      ])
      return topic
    }
    const context: Context = { cluster, newTopic, topicRefreshMs, growthMs }
    // They mostly wait, each on topics of its own. What deletes topics makes the clients that all share begin anew, and so
    // has them for itself.
    describe.concurrent('side by side', () => {
      producing(context)
      reading(context)
      sharing(context)
      sampling(context)
    })
    administering(context)
  })
}

interface Context {
  readonly cluster: () => ContractCluster
  readonly newTopic: (partitions: number, config?: Record<string, string>) => Promise<string>
  readonly topicRefreshMs: number
  readonly growthMs: number
}

const logAppendTime = { 'message.timestamp.type': 'LogAppendTime' }
const text = (partition: number, value: string) => ({ partition, key: null, value: Buffer.from(value) })
const numbers = (count: number, partition = 0) =>
  Array.from({ length: count }, (_, index) => text(partition, `${index}`))
const offsetOf = (outcome: ProduceOutcome | undefined) => (outcome?.kind === 'acked' ? outcome.offset : outcome?.kind)

function producing({ cluster, newTopic }: Context): void {
  test('answers each record with its offset and the append time, in the order given', async () => {
    const topic = await newTopic(2)
    const before = Date.now()
    const records = [text(0, 'a'), text(1, 'b'), text(0, 'c'), text(1, 'd'), text(0, 'e')]
    const outcomes = await cluster().producer.produce(topic, records)
    expect(outcomes.map(offsetOf)).toEqual([0n, 0n, 1n, 1n, 2n])
    for (const outcome of outcomes) {
      if (outcome.kind !== 'acked') throw new Error(outcome.kind)
      expect(Math.abs(outcome.appendedAtMs - before)).toBeLessThan(60_000)
    }
    expect(await cluster().producer.partitionCount(topic)).toBe(2)
  })

  test('refuses a record that is too large and stores its neighbours', async () => {
    const topic = await newTopic(2, { 'max.message.bytes': '10000' })
    const large = { partition: 0, key: null, value: incompressible(20_000) }
    const outcomes = await cluster().producer.produce(topic, [text(0, 'a'), large, text(0, 'b'), text(1, 'c')])
    expect(outcomes.map(({ kind }) => kind)).toEqual(['acked', 'refused', 'acked', 'acked'])
    expect((await cluster().admin.ranges(topic)).map(({ end }) => end)).toEqual([2n, 1n])
  })

  test('refuses a partition that does not exist', async () => {
    const topic = await newTopic(1)
    const outcomes = await cluster().producer.produce(topic, [text(0, 'a'), text(7, 'b')])
    expect(outcomes.map(({ kind }) => kind)).toEqual(['acked', 'refused'])
  })

  test('does not know the partitions of a topic that does not exist', async () => {
    await expect(cluster().producer.partitionCount(unique('none'))).rejects.toMatchObject({
      code: 'PIPE_TOPIC_MISSING'
    })
  })
}

function reading({ cluster, newTopic, topicRefreshMs }: Context): void {
  test('hands over key, value, headers and append time as they were stored', async () => {
    const topic = await newTopic(1)
    const headers = { a: 'x', b: Buffer.from([0, 255]) }
    await cluster().producer.produce(topic, [
      { partition: 0, key: 'k', value: Buffer.from([1, 2, 3]), headers },
      { partition: 0, key: null, value: null }
    ])
    await using reader = await openReader(cluster().consumers, {
      groupId: unique('g'),
      topics: [topic],
      topicRefreshMs
    })
    await eventually('two records', () => reader.records.length === 2)
    const [first, second] = reader.records
    expect(first).toMatchObject({
      topic,
      partition: 0,
      offset: 0n,
      key: Buffer.from('k'),
      value: Buffer.from([1, 2, 3])
    })
    expect({ ...first?.headers }).toEqual({ a: Buffer.from('x'), b: Buffer.from([0, 255]) })
    expect(second).toMatchObject({ offset: 1n, key: null, value: null })
    expect(Math.abs((first?.appendedAtMs ?? 0) - Date.now())).toBeLessThan(60_000)
    expect(reader.batches.at(-1)).toMatchObject({ highWatermark: 2n, nextOffset: 2n })
  })

  test('starts at the position of the sink, else at the commit, else at the fallback', async () => {
    const topic = await newTopic(3)
    const groupId = unique('g')
    for (const partition of [0, 1, 2]) await cluster().producer.produce(topic, numbers(10, partition))
    await cluster().admin.setGroupOffsets(
      groupId,
      topic,
      new Map([
        [0, 3n],
        [1, 8n]
      ])
    )
    const positions = new Map([[`${topic}:0`, 6n]])
    await using reader = await openReader(cluster().consumers, { groupId, topics: [topic], topicRefreshMs, positions })
    await eventually('sixteen records', () => reader.records.length === 4 + 2 + 10)
    const first = (partition: number) => reader.records.find((record) => record.partition === partition)?.offset
    expect([first(0), first(1), first(2)]).toEqual([6n, 8n, 0n])
    expect(reader.log[0]).toBe('assigned')
  })

  test('starts at the end with the fallback latest and sees what comes afterwards', async () => {
    const topic = await newTopic(1)
    await cluster().producer.produce(topic, numbers(5))
    await using reader = await openReader(cluster().consumers, {
      groupId: unique('g'),
      topics: [topic],
      topicRefreshMs,
      fallback: 'latest'
    })
    await eventually('assigned', () => reader.held() !== undefined)
    await eventually('a new record', async () => {
      if (reader.records.length === 0) await cluster().producer.produce(topic, [text(0, 'new')])
      return reader.records.length > 0
    })
    expect(values(reader.records.slice(0, 1))).toEqual(['new'])
    expect(reader.records[0]?.offset).toBeGreaterThanOrEqual(5n)
  })

  test('hands over nothing of a paused partition and goes on without a gap after resume', async () => {
    const topic = await newTopic(2)
    await using reader = await openReader(cluster().consumers, {
      groupId: unique('g'),
      topics: [topic],
      topicRefreshMs
    })
    await cluster().producer.produce(topic, [text(0, 'a'), text(1, 'b')])
    await eventually('both', () => reader.records.length === 2)
    reader.member.pause([{ topic, partition: 0 }])
    await cluster().producer.produce(topic, [text(0, 'c'), text(1, 'd')])
    await eventually('the open partition', () => reader.records.length === 3)
    await cluster().producer.produce(topic, [text(0, 'e'), text(1, 'f')])
    await eventually('the open partition again', () => reader.records.length === 4)
    expect(values(reader.records)).toEqual(['a', 'b', 'd', 'f'])
    reader.member.resume([{ topic, partition: 0 }])
    await eventually('all', () => reader.records.length === 6)
    expect(reader.records.filter(({ partition }) => partition === 0).map(({ offset }) => offset)).toEqual([0n, 1n, 2n])
  })

  test('seeks back and forth inside the log', async () => {
    const topic = await newTopic(1)
    await cluster().producer.produce(topic, numbers(10))
    await using reader = await openReader(cluster().consumers, {
      groupId: unique('g'),
      topics: [topic],
      topicRefreshMs
    })
    await eventually('ten', () => reader.records.length === 10)
    reader.member.seek({ topic, partition: 0 }, 7n)
    await eventually('three more', () => reader.records.length === 13)
    expect(reader.records.slice(10).map(({ offset }) => offset)).toEqual([7n, 8n, 9n])
    reader.member.seek({ topic, partition: 9 }, 0n)
    reader.member.seek({ topic, partition: 0 }, 9n)
    await eventually('one more', () => reader.records.length === 14)
  })

  test('reports a commit before the start of the log and goes on at its start', async () => {
    const topic = await newTopic(1)
    const groupId = unique('g')
    await cluster().producer.produce(topic, numbers(10))
    await cluster().admin.setGroupOffsets(groupId, topic, new Map([[0, 2n]]))
    await cluster().trim({ topic, partition: 0 }, 6n)
    await using reader = await openReader(cluster().consumers, { groupId, topics: [topic], topicRefreshMs })
    await eventually('the rest', () => reader.records.length === 4)
    expect(reader.log).toContain(`out-of-range ${topic}:0 2 6`)
    expect(reader.records.map(({ offset }) => offset)).toEqual([6n, 7n, 8n, 9n])
  })

  test('reports a position past the end of the log and goes on at its start', async () => {
    const topic = await newTopic(1)
    await cluster().producer.produce(topic, numbers(3))
    await using reader = await openReader(cluster().consumers, {
      groupId: unique('g'),
      topics: [topic],
      topicRefreshMs
    })
    await eventually('three', () => reader.records.length === 3)
    reader.member.seek({ topic, partition: 0 }, 100n)
    await eventually('all again', () => reader.records.length === 6)
    expect(reader.log).toContain(`out-of-range ${topic}:0 100 0`)
    expect(reader.records.slice(3).map(({ offset }) => offset)).toEqual([0n, 1n, 2n])
  })

  test('commits for the member that asks and starts there the next time', async () => {
    const topic = await newTopic(1)
    const groupId = unique('g')
    await cluster().producer.produce(topic, numbers(5))
    {
      await using reader = await openReader(cluster().consumers, { groupId, topics: [topic], topicRefreshMs })
      await eventually('five', () => reader.records.length === 5)
      expect(await reader.member.commit([{ topic, partition: 0, offset: 4n }])).toBe('committed')
      expect(await cluster().admin.groupOffsets(groupId, topic)).toEqual(new Map([[0, 4n]]))
    }
    await using second = await openReader(cluster().consumers, { groupId, topics: [topic], topicRefreshMs })
    await eventually('the last one', () => second.records.length === 1)
    expect(second.records[0]?.offset).toBe(4n)
  })

  test('calls no handler after stop and fences its commits', async () => {
    const topic = await newTopic(1)
    const reader = await openReader(cluster().consumers, { groupId: unique('g'), topics: [topic], topicRefreshMs })
    await eventually('assigned', () => reader.held() !== undefined)
    await reader.member.stop()
    const calls = reader.log.length
    await cluster().producer.produce(topic, numbers(3))
    expect(await reader.member.commit([{ topic, partition: 0, offset: 1n }])).toBe('fenced')
    expect(reader.log.length).toBe(calls)
  })
}

function sharing({ cluster, newTopic, topicRefreshMs, growthMs }: Context): void {
  const share = (reader: { held: () => readonly string[] | undefined }) => reader.held()?.length
  const together = (...readers: { held: () => readonly string[] | undefined }[]) =>
    readers.flatMap((reader) => reader.held() ?? []).sort()

  test('spreads the partitions evenly over members that come and go', async () => {
    const topic = await newTopic(12)
    const all = Array.from({ length: 12 }, (_, partition) => `${topic}:${partition}`).sort()
    const options = { groupId: unique('g'), topics: [topic], topicRefreshMs }
    await using a = await openReader(cluster().consumers, options)
    await eventually('one holds all', () => share(a) === 12)
    await using b = await openReader(cluster().consumers, options)
    await eventually('two hold six each', () => share(a) === 6 && share(b) === 6, { timeoutMs: 20_000 })
    await using c = await openReader(cluster().consumers, options)
    await eventually('three hold four each', () => [a, b, c].every((one) => share(one) === 4), { timeoutMs: 20_000 })
    expect(together(a, b, c)).toEqual(all)
    await b.member.stop()
    await eventually('two again', () => share(a) === 6 && share(c) === 6, { timeoutMs: 20_000 })
    expect(together(a, c)).toEqual(all)
    expect(a.log).toContain('revoking')
  })

  test('lets a member commit while it gives its partitions away, and loses no record over a rebalance', async () => {
    const topic = await newTopic(4)
    const answers: string[] = []
    const options = {
      groupId: unique('g'),
      topics: [topic],
      topicRefreshMs,
      onRevoking: async (reader: {
        records: readonly { partition: number; offset: bigint }[]
        member: { commit: (commits: { topic: string; partition: number; offset: bigint }[]) => Promise<string> }
      }) => {
        const last = new Map(reader.records.map(({ partition, offset }) => [partition, offset]))
        answers.push(
          await reader.member.commit(
            [...last].map(([partition, offset]) => ({ topic, partition, offset: offset + 1n }))
          )
        )
      }
    }
    await using a = await openReader(cluster().consumers, options)
    for (const partition of [0, 1, 2, 3]) await cluster().producer.produce(topic, numbers(25, partition))
    await eventually('a hundred', () => a.records.length === 100)
    await using b = await openReader(cluster().consumers, options)
    await eventually('shared', () => share(a) === 2 && share(b) === 2, { timeoutMs: 20_000 })
    expect(answers[0]).toBe('committed')
    for (const partition of [0, 1, 2, 3]) await cluster().producer.produce(topic, numbers(5, partition))
    await eventually('twenty more', () => a.records.length + b.records.length === 120)
    expect(b.records.map(({ offset }) => offset).every((offset) => offset >= 25n)).toBe(true)
  })

  test('gives a topic to exactly the members that know it', async () => {
    const known = await newTopic(4)
    const fresh = await newTopic(4)
    const groupId = unique('g')
    await using a = await openReader(cluster().consumers, { groupId, topics: [known], topicRefreshMs })
    await using b = await openReader(cluster().consumers, { groupId, topics: [known, fresh], topicRefreshMs })
    await using c = await openReader(cluster().consumers, { groupId, topics: [known], topicRefreshMs })
    const all = [known, fresh].flatMap((topic) => [0, 1, 2, 3].map((partition) => `${topic}:${partition}`)).sort()
    await eventually('everything is held once', () => together(a, b, c).join() === all.join(), { timeoutMs: 20_000 })
    expect(b.held()?.filter((key) => key.startsWith(fresh)).length).toBe(4)
    expect([...(a.held() ?? []), ...(c.held() ?? [])].filter((key) => key.startsWith(fresh))).toEqual([])
    for (const partition of [0, 1, 2, 3]) await cluster().producer.produce(fresh, numbers(1, partition))
    await eventually('the new topic is read', () => b.records.filter(({ topic }) => topic === fresh).length === 4)
  })

  test('takes in a new topic at the next refresh and drops one that is gone from the list', async () => {
    const [first, second] = [await newTopic(2), await newTopic(2)]
    const topics = [first]
    await using reader = await openReader(cluster().consumers, { groupId: unique('g'), topics, topicRefreshMs })
    await eventually('the first topic', () => share(reader) === 2)
    await cluster().producer.produce(second, numbers(3))
    topics.push(second)
    await eventually('the second topic is read', () => reader.records.length === 3, { timeoutMs: 20_000 })
    topics.shift()
    const rest = [`${second}:0`, `${second}:1`]
    await eventually('the first topic is given up', () => reader.held()?.join() === rest.join(), { timeoutMs: 20_000 })
  })

  test('tells a member without topics that it holds nothing, once, and gives it the first one that comes', async () => {
    const topics: string[] = []
    await using reader = await openReader(cluster().consumers, { groupId: unique('g'), topics, topicRefreshMs })
    await eventually('it holds nothing', () => share(reader) === 0)
    const topic = await newTopic(2)
    await cluster().producer.produce(topic, numbers(1))
    topics.push(topic)
    await eventually('the first topic is read', () => reader.records.length === 1, { timeoutMs: 20_000 })
    expect(share(reader)).toBe(2)
    expect(reader.log.slice(0, 2)).toEqual(['assigned', expect.not.stringMatching(/^batch/)])
  })

  test('takes in partitions that were added while it runs', async () => {
    const topic = await newTopic(1)
    const options = { groupId: unique('g'), topics: [topic], topicRefreshMs }
    await using a = await openReader(cluster().consumers, options)
    await using b = await openReader(cluster().consumers, options)
    await eventually(
      'one partition is held',
      () => together(a, b).length === 1 && share(a) !== undefined && share(b) !== undefined,
      { timeoutMs: 20_000 }
    )
    await cluster().admin.growPartitions(topic, 4)
    const longer = { timeoutMs: growthMs + 20_000 }
    await eventually('four are held', () => share(a) === 2 && share(b) === 2, longer)
    await eventually('the new partition takes records', async () => {
      const [outcome] = await cluster().producer.produce(topic, [text(3, 'new')])
      return outcome?.kind === 'acked'
    })
    await eventually('and is read', () => [...a.records, ...b.records].some(({ partition }) => partition === 3))
  })
}

function sampling({ cluster, newTopic, topicRefreshMs }: Context): void {
  test('samples heads, commits, append times and holders of many partitions at once', async () => {
    const { sampler, producer, consumers, trim } = cluster()
    const [first, second] = [await newTopic(2), await newTopic(1)]
    const [outcome] = await producer.produce(first, numbers(1))
    await producer.produce(first, numbers(3, 1))
    await producer.produce(second, numbers(5))
    await trim({ topic: second, partition: 0 }, 2n)
    const heads = await sampler.heads((topic) => topic === first || topic === second)
    const shown = heads.map(({ topic, partition, start, end }) => [topic === first ? 'a' : 'b', partition, start, end])
    expect(shown.toSorted()).toEqual([
      ['a', 0, 0n, 1n],
      ['a', 1, 0n, 3n],
      ['b', 0, 2n, 5n]
    ])
    expect(heads.every(({ leader }) => leader >= 0)).toBe(true)
    if (outcome?.kind !== 'acked') throw new Error('not acked')
    const at = (offset: bigint) => sampler.appendTimes([{ topic: first, partition: 0, offset }])
    expect(await at(0n)).toEqual(new Map([[`${first}:0`, outcome.appendedAtMs]]))
    expect(await at(1n)).toEqual(new Map())

    const groupId = unique('g')
    const wanted = [
      { topic: first, partition: 0 },
      { topic: first, partition: 1 },
      { topic: second, partition: 0 }
    ]
    expect(await sampler.committed(groupId, wanted)).toEqual(new Map())
    await using reader = await openReader(consumers, { groupId, topics: [first, second], topicRefreshMs })
    await eventually('assigned', () => reader.held()?.length === 3)
    await reader.member.commit([{ topic: first, partition: 1, offset: 2n }])
    await reader.member.commit([{ topic: second, partition: 0, offset: 5n }])
    const committed = [
      [`${first}:1`, 2n],
      [`${second}:0`, 5n]
    ] as const
    expect(await sampler.committed(groupId, wanted)).toEqual(new Map(committed))
    expect((await sampler.holders(first)).get(groupId)).toEqual(new Set([0, 1]))
    expect((await sampler.holders(second)).get(groupId)).toEqual(new Set([0]))
  })
}

function administering({ cluster, newTopic, topicRefreshMs }: Context): void {
  test('creates, describes, grows, configures and deletes topics', async () => {
    const { admin } = cluster()
    const topic = await newTopic(2, { 'retention.ms': '86400000' })
    const config = { ...logAppendTime, 'retention.ms': '86400000' }
    const copies = { replicationFactor: 1, inSync: 1 }
    expect(await admin.describeTopics([topic])).toEqual([{ topic, partitions: 2, ...copies, config }])
    await admin.createTopics([{ topic, partitions: 9, replicationFactor: 1, config: {} }])
    await admin.growPartitions(topic, 3)
    await admin.alterTopicConfig(topic, { 'max.message.bytes': '20000' })
    const grown = { topic, partitions: 3, ...copies, config: { ...config, 'max.message.bytes': '20000' } }
    await eventually('the change is visible', async () => {
      expect(await admin.describeTopics([topic])).toEqual([grown])
      return true
    })
    expect(await admin.listTopics()).toContain(topic)
    await admin.deleteTopics([topic])
    await eventually('the topic is gone', async () => !(await admin.listTopics()).includes(topic))
    await expect(admin.describeTopics([topic])).rejects.toMatchObject({ code: 'PIPE_TOPIC_MISSING' })
    expect(await admin.brokerCount()).toBe(1)
  })

  test('goes on with other topics after one that it used was deleted', async () => {
    const { admin, producer } = cluster()
    const [gone, kept] = [await newTopic(1), await newTopic(1)]
    await producer.produce(gone, numbers(1))
    await producer.produce(kept, numbers(1))
    expect((await admin.ranges(gone)).length).toBe(1)
    await admin.deleteTopics([gone])
    await eventually('the topic is gone', async () => !(await admin.listTopics()).includes(gone))
    expect((await producer.produce(kept, numbers(1))).map(offsetOf)).toEqual([1n])
    expect((await admin.ranges(kept)).map(({ start, end }) => [start, end])).toEqual([[0n, 2n]])
  })

  test('finds the first offset at or after a time, and the end where there is none', async () => {
    const { admin, producer } = cluster()
    const topic = await newTopic(2)
    const append = async (value: string): Promise<number> => {
      const [outcome] = await producer.produce(topic, [text(0, value)])
      if (outcome?.kind !== 'acked') throw new Error('not acked')
      return outcome.appendedAtMs
    }
    const early = await append('a')
    const late = await eventually('a later append time', async () => {
      const at = await append('b')
      return at > early + 1 ? at : undefined
    })
    const [range] = await admin.ranges(topic)
    const end = range?.end ?? -1n
    expect(await admin.offsetsAt(topic, late)).toEqual(
      new Map([
        [0, end - 1n],
        [1, 0n]
      ])
    )
    expect(await admin.offsetsAt(topic, late + 60_000)).toEqual(
      new Map([
        [0, end],
        [1, 0n]
      ])
    )
    expect((await admin.offsetsAt(topic, early)).get(0)).toBe(0n)
  })

  test('sets the offsets of a group without members only', async () => {
    const { admin, consumers } = cluster()
    const topic = await newTopic(2)
    const groupId = unique('g')
    expect(await admin.groupOffsets(groupId, topic)).toEqual(new Map())
    {
      await using reader = await openReader(consumers, { groupId, topics: [topic], topicRefreshMs })
      await eventually('assigned', () => reader.held() !== undefined)
      await expect(admin.setGroupOffsets(groupId, topic, new Map([[0, 1n]]))).rejects.toMatchObject({
        code: 'PIPE_CONFLICT'
      })
    }
    await admin.setGroupOffsets(groupId, topic, new Map([[0, 1n]]))
    expect(await admin.groupOffsets(groupId, topic)).toEqual(new Map([[0, 1n]]))
  })
}

/** Bytes that no codec makes smaller; the same for the same size. */
export function incompressible(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  let state = 0x2545f491
  for (let index = 0; index < size; index++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[index] = state & 0xff
  }
  return bytes
}
