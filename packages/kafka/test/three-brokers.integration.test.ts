// Producing through faults, on three real brokers: replies eaten by a proxy, processes frozen and killed.
import { eventually } from '@millrace/testkit/eventually'
import { kafkaRequest } from '@millrace/testkit/faults/proxy-rules'
import { openTestKafka } from '@millrace/testkit/test-kafka'
import { openThreeBrokers } from '@millrace/testkit/three-brokers'
import { unique } from '@millrace/testkit/unique'
import type { Kafka } from '../src/port.ts'
import { produceFaultsContract } from './produce-faults.ts'
import type { FaultyCluster } from './produce-faults.ts'
import { openReader } from './reader.ts'

const produceKey = 0
const partOf = (broker: number) => (broker === 1 ? 'kafka' : broker === 2 ? 'kafka-2' : 'kafka-3')

produceFaultsContract({ name: 'three real brokers', open: openCluster })

async function openCluster(): Promise<FaultyCluster> {
  await using opening = new AsyncDisposableStack()
  const { stack, brokers, proxy } = opening.use(await openThreeBrokers())
  const newKafka = () => openTestKafka({ KAFKA_BROKERS: brokers })
  const kafka = opening.use(await newKafka())
  const admin = await kafka.admin()
  const all = opening.move()
  return {
    producer: (ackTimeoutMs) => kafka.producer({ ackTimeoutMs }),
    async newTopic(partitions, minInsync) {
      const topic = unique('faults')
      const config = { 'min.insync.replicas': String(minInsync), 'unclean.leader.election.enable': 'false' }
      await admin.createTopics([{ topic, partitions, replicationFactor: 3, config }])
      await eventually(
        'every partition has a leader',
        async () => (await leadersOf(newKafka, topic)).size === partitions
      )
      return topic
    },
    leaderOf: async (topic, partition) => (await leadersOf(newKafka, topic)).get(partition) ?? -1,
    async values(topic, partition) {
      await using reading = await newKafka()
      const [range] = (await (await reading.admin()).ranges(topic)).filter((each) => each.partition === partition)
      await using reader = await openReader(reading.consumers, {
        groupId: unique('g'),
        topics: [topic],
        topicRefreshMs: 60_000
      })
      const own = () => reader.records.filter((record) => record.partition === partition)
      await eventually('the whole log', () => BigInt(own().length) >= (range?.end ?? 0n), { timeoutMs: 40_000 })
      return own().map(({ value }) => String(value))
    },
    loseReply: (broker) => proxy(broker).add({ kind: 'eat-reply', when: kafkaRequest(produceKey), times: 1 }),
    freeze: (broker) => void stack.kill(partOf(broker), 'SIGSTOP'),
    thaw: (broker) => void stack.kill(partOf(broker), 'SIGCONT'),
    frozenForMs: 14_000,
    kill: (broker) => void stack.kill(partOf(broker), 'SIGKILL'),
    revive: (broker) => stack.restart(partOf(broker)),
    async [Symbol.asyncDispose]() {
      await kafka[Symbol.asyncDispose]()
      // An orderly end of all three takes as long as the last one waits for a quorum that is gone.
      for (const broker of [1, 2, 3]) stack.kill(partOf(broker), 'SIGKILL')
      await all.disposeAsync()
    }
  }
}

/** Leaders as a new client hears them: an old one gives what it knows. */
async function leadersOf(newKafka: () => Promise<Kafka>, topic: string): Promise<ReadonlyMap<number, number>> {
  await using kafka = await newKafka()
  await using producer = await kafka.producer()
  return await producer.leaders(topic)
}
