// The port's contract on the real broker.
import { openTestKafka } from '@millrace/testkit/test-kafka'
import kafkajs from 'kafkajs'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { kafkaContract } from './contract.ts'

kafkaContract({
  name: 'a broker through kafkajs',
  topicRefreshMs: 2_000,
  growthMs: 15_000,
  open: async () => {
    await using opening = new AsyncDisposableStack()
    const kafka = opening.use(await openTestKafka())
    const admin = await kafka.admin()
    const sampler = await kafka.sampler()
    const producer = await kafka.producer()
    const brokers = testEndpoints().KAFKA_BROKERS.split(',')
    const trimmer = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING }).admin()
    await trimmer.connect()
    opening.defer(() => trimmer.disconnect())
    const stack = opening.move()
    return {
      admin,
      sampler,
      producer,
      consumers: kafka.consumers,
      trim: async ({ topic, partition }, start) => {
        // Reading the offsets first makes the client load the topic's metadata.
        await trimmer.fetchTopicOffsets(topic)
        await trimmer.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(start) }] })
      },
      [Symbol.asyncDispose]: () => stack.disposeAsync()
    }
  }
})
