// What producing promises while brokers freeze, die and lose replies, whatever client is underneath: nothing that was
// acknowledged is missing in the log. The stub cluster and the real one of three brokers run the same suite.
import { systemClock } from '@millrace/kernel'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '@millrace/testkit/eventually'
import { createPartitionQueue } from '../src/partition-queue.ts'
import type { ProduceOutcome, ProduceRecord, RoutedProducer } from '../src/port.ts'

/** A cluster of three brokers that can be hurt. Every partition has three copies. */
export interface FaultyCluster extends AsyncDisposable {
  producer(ackTimeoutMs: number): Promise<RoutedProducer>
  /** A topic whose partitions have different leaders, as far as there are brokers. */
  newTopic(partitions: number, minInsync: number): Promise<string>
  leaderOf(topic: string, partition: number): Promise<number>
  /** What the log holds. */
  values(topic: string, partition: number): Promise<readonly string[]>
  /** The next produce request to the broker is appended, its reply is lost and its connection reset. */
  loseReply(broker: number): { acted(): number }
  /** The broker takes connections and does nothing. */
  freeze(broker: number): void
  /** It goes on with what it holds. */
  thaw(broker: number): void
  /** How long a frozen broker is looked at: longer than it takes a client to renew its metadata. */
  readonly frozenForMs: number
  /** The broker is gone; what it had not done it never does. Another leads its partitions after some time. */
  kill(broker: number): void
  /** Resolves when a killed broker takes part again. */
  revive(broker: number): Promise<void>
}

const record = (partition: number, value: string): ProduceRecord => ({
  partition,
  key: null,
  value: Buffer.from(value)
})
const kindOf = (outcome: ProduceOutcome | undefined) => outcome?.kind

/** Declares the suite for one cluster. */
export function produceFaultsContract(options: { name: string; open: () => Promise<FaultyCluster> }): void {
  describe(`producing to ${options.name}`, () => {
    const state: { cluster?: FaultyCluster } = {}
    beforeAll(async () => {
      state.cluster = await options.open()
    }, 120_000)
    afterAll(async () => {
      await state.cluster?.[Symbol.asyncDispose]()
    }, 60_000)
    const cluster = (): FaultyCluster => {
      if (state.cluster === undefined) throw new Error('the cluster did not open')
      return state.cluster
    }
    lostReplies(cluster)
    lostBrokers(cluster)
  })
}

function lostReplies(cluster: () => FaultyCluster): void {
  test('a record whose reply was lost is in the log when it is acknowledged, and its copies stand together', async () => {
    const topic = await cluster().newTopic(1, 2)
    await using producer = await cluster().producer(15_000)
    expect((await producer.produce(topic, [record(0, 'before')])).map(kindOf)).toEqual(['acked'])
    const fault = cluster().loseReply(await cluster().leaderOf(topic, 0))
    expect((await producer.produce(topic, [record(0, 'a')])).map(kindOf)).toEqual(['acked'])
    expect(fault.acted()).toBe(1)
    expect(await cluster().values(topic, 0)).toEqual(['before', 'a', 'a'])
  })

  test('of three concurrent sends to a partition whose connection drops after the first append none is lost', async () => {
    const topic = await cluster().newTopic(1, 2)
    await using producer = await cluster().producer(15_000)
    await producer.produce(topic, [record(0, 'before')])
    const fault = cluster().loseReply(await cluster().leaderOf(topic, 0))
    const sends = ['a', 'b', 'c'].map((value) => producer.produce(topic, [record(0, value)]))
    const outcomes = (await Promise.all(sends)).flat()
    expect(fault.acted()).toBe(1)
    await expectNothingLost(cluster(), topic, 0, outcomes, ['a', 'b', 'c'])
    expect(outcomes.map(kindOf)).toEqual(['acked', 'acked', 'acked'])
  })

  test('the queue keeps the order of a partition over a lost reply', async () => {
    const topic = await cluster().newTopic(1, 2)
    await using producer = await cluster().producer(15_000)
    await using queue = createPartitionQueue({ producer, topicOf: () => topic, clock: systemClock })
    const publish = (eventId: string) => queue.publish({ project: 'p', eventId, value: Buffer.from(eventId) })
    await publish('before')
    const fault = cluster().loseReply(await cluster().leaderOf(topic, 0))
    const first = publish('a')
    await eventually('a is under way', async () => (await cluster().values(topic, 0)).includes('a'))
    const outcomes = await Promise.all([first, publish('b'), publish('c')])
    expect([fault.acted(), outcomes.map(({ kind }) => kind)]).toEqual([1, ['acked', 'acked', 'acked']])
    expect(await cluster().values(topic, 0)).toEqual(['before', 'a', 'a', 'b', 'c'])
  })
}

function lostBrokers(cluster: () => FaultyCluster): void {
  test('a broker that is frozen does not hold up the records for the others', async () => {
    const topic = await cluster().newTopic(3, 2)
    await using producer = await cluster().producer(20_000)
    const queue = createPartitionQueue({
      producer,
      topicOf: () => topic,
      clock: systemClock,
      partitionFor: (key) => Number(key)
    })
    const publish = (partition: number) =>
      queue.publish({ project: 'p', eventId: `${partition}`, value: Buffer.from('v') })
    for (const partition of [0, 1, 2]) await publish(partition)
    const victim = await cluster().leaderOf(topic, 1)
    const others = [0, 2]
    cluster().freeze(victim)
    const stuck = publish(1)
    const slow: number[] = []
    const until = systemClock.monotonic() + cluster().frozenForMs
    while (systemClock.monotonic() < until) {
      const sentAtMs = systemClock.monotonic()
      const outcomes = await Promise.all(others.map(publish))
      expect(outcomes.map(({ kind }) => kind)).toEqual(['acked', 'acked'])
      slow.push(systemClock.monotonic() - sentAtMs)
      await systemClock.sleep(50)
    }
    cluster().thaw(victim)
    // Only records that follow a frozen broker must be waited for: its fellows take it out of their replicas in seconds.
    expect(Math.max(...slow)).toBeLessThan(9_000)
    expect(slow.filter((ms) => ms > 2_000).length).toBeLessThanOrEqual(2)
    expect(['acked', 'unknown']).toContain((await stuck).kind)
    await queue.drain()
  }, 60_000)

  test('one send to two leaders, one of which dies before its append, acknowledges only what is in the log', async () => {
    const topic = await cluster().newTopic(3, 2)
    const strict = await cluster().newTopic(3, 3)
    await using producer = await cluster().producer(20_000)
    await using hasty = await cluster().producer(1_500)
    await producer.produce(topic, [record(0, 'x'), record(1, 'x')])
    await hasty.produce(strict, [record(0, 'x'), record(1, 'x'), record(2, 'x')])
    const victim = await cluster().leaderOf(topic, 1)
    cluster().freeze(victim)
    const settled: string[] = []
    const sending = producer.produce(topic, [record(0, 'a'), record(1, 'b')], {
      onSettled: (indexes, outcomes) => settled.push(...indexes.map((index) => `${index} ${outcomes[index]?.kind}`))
    })
    await eventually('the living leader has answered', () => settled.length === 1)
    expect(settled).toEqual(['0 acked'])
    cluster().kill(victim)
    const outcomes = await sending
    expect(outcomes[0]?.kind).toBe('acked')
    await expectNothingLost(cluster(), topic, 1, outcomes.slice(1), ['b'])
    await eventually(
      'the partition has another leader',
      async () => (await producer.produce(topic, [record(1, 'c')])).map(kindOf)[0] === 'acked',
      { timeoutMs: 30_000 }
    )
    expect(await cluster().leaderOf(topic, 1)).not.toBe(victim)
    expect(await cluster().values(topic, 1)).toContain('c')

    const living = await eventually('a partition of the strict topic with a living leader', async () => {
      for (const partition of [0, 1, 2]) if ((await cluster().leaderOf(strict, partition)) !== victim) return partition
      return undefined
    })
    await eventually(
      'the lost copy is missed',
      async () => {
        const [outcome] = await hasty.produce(strict, [record(living, 'too few copies')])
        return outcome?.kind === 'unknown' && outcome.notStored === true
      },
      { timeoutMs: 30_000 }
    )
    await cluster().revive(victim)
    await eventually(
      'with all copies back it is stored',
      async () => (await hasty.produce(strict, [record(living, 'all copies')])).map(kindOf)[0] === 'acked',
      { timeoutMs: 30_000 }
    )
    expect((await cluster().values(strict, living)).at(-1)).toBe('all copies')
  }, 90_000)
}

async function expectNothingLost(
  cluster: FaultyCluster,
  topic: string,
  partition: number,
  outcomes: readonly ProduceOutcome[],
  values: readonly string[]
): Promise<void> {
  const stored = new Set(await cluster.values(topic, partition))
  const lost = values.filter((value, index) => outcomes[index]?.kind === 'acked' && !stored.has(value))
  expect(lost).toEqual([])
}
