// The least that a consumer can do: kafkajs reads a topic batch by batch and commits. Nothing is parsed. FROM names the
// topic, GROUP the group.
import { promisify } from 'node:util'
import { zstdCompress, zstdDecompress } from 'node:zlib'
// oxlint-disable-next-line no-restricted-imports -- a reference stands on the clients themselves
import kafkajs from 'kafkajs'

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs
const { KAFKA_BROKERS = '', FROM = '', GROUP = '' } = process.env
const [compress, decompress] = [promisify(zstdCompress), promisify(zstdDecompress)]
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: ({ buffer }: { buffer: Buffer }) => compress(buffer),
  decompress: (buffer: Buffer) => decompress(buffer)
})

const kafka = new Kafka({ clientId: 'bench', brokers: KAFKA_BROKERS.split(','), logLevel: logLevel.NOTHING })
const consumer = kafka.consumer({ groupId: GROUP, maxWaitTimeInMs: 100 })
await consumer.connect()
await consumer.subscribe({ topics: [FROM], fromBeginning: true })
consumer.on('consumer.group_join', () => process.stdout.write('0\n'))
await consumer.run({
  autoCommit: false,
  eachBatchAutoResolve: false,
  partitionsConsumedConcurrently: 4,
  async eachBatch({ batch, resolveOffset, heartbeat }) {
    const { topic, partition } = batch
    resolveOffset(batch.lastOffset())
    await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(batch.lastOffset()) + 1n) }])
    await heartbeat()
  }
})
process.on('SIGTERM', () => process.exit(0))
