// Takes the beginning of a log away, as its retention does when it is over.
// oxlint-disable-next-line no-restricted-imports -- the pipeline itself never deletes records, so its port has no call for it
import kafkajs from 'kafkajs'

/** Deletes the records of `topic` before the offset of each partition. */
export async function trimLog(brokers: string, topic: string, offsets: ReadonlyMap<number, bigint>): Promise<void> {
  const admin = new kafkajs.Kafka({ brokers: brokers.split(','), logLevel: kafkajs.logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    // Reading the offsets first makes the client load the topic's metadata.
    await admin.fetchTopicOffsets(topic)
    const partitions = [...offsets].map(([partition, offset]) => ({ partition, offset: String(offset) }))
    await admin.deleteTopicRecords({ topic, partitions })
  } finally {
    await admin.disconnect()
  }
}
