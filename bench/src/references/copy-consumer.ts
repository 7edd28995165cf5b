// The least that a processor can do: kafkajs consumes a topic and produces the same records into another one, batch by
// batch, and commits after the acks. Nothing is parsed. FROM and TO name the topics.
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
// oxlint-disable-next-line no-restricted-imports -- a reference stands on the clients themselves
import kafkajs from 'kafkajs'

const { CompressionCodecs, CompressionTypes, Kafka, Partitioners, logLevel } = kafkajs
const { KAFKA_BROKERS = '', FROM = '', TO = '' } = process.env
const params = { [constants.ZSTD_c_compressionLevel]: 1 }
const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: ({ buffer }: { buffer: Buffer }) => compress(buffer, { params }),
  decompress: (buffer: Buffer) => decompress(buffer)
})

const kafka = new Kafka({ clientId: 'bench', brokers: KAFKA_BROKERS.split(','), logLevel: logLevel.NOTHING })
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
const consumer = kafka.consumer({ groupId: `copy-${TO}`, maxWaitTimeInMs: 100, maxBytesPerPartition: 512 * 1024 })
await producer.connect()
await consumer.connect()
await consumer.subscribe({ topics: [FROM], fromBeginning: true })
consumer.on('consumer.group_join', () => process.stdout.write('0\n'))
await consumer.run({
  autoCommit: false,
  eachBatchAutoResolve: false,
  partitionsConsumedConcurrently: 5,
  async eachBatch({ batch, resolveOffset, heartbeat }) {
    const { topic, partition, messages } = batch
    await producer.send({
      topic: TO,
      acks: -1,
      compression: CompressionTypes.ZSTD,
      messages: messages.map(({ key, value, headers }) => ({ partition, key, value, ...(headers && { headers }) }))
    })
    resolveOffset(batch.lastOffset())
    await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(batch.lastOffset()) + 1n) }])
    await heartbeat()
  }
})
process.on('SIGTERM', () => process.exit(0))
