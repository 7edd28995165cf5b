// Live windows and sessions as they are often written: each event by itself, a set of seen ids, counters one by one, and
// the session read, changed and written back. The same values as the aggregator's, without its promises. FROM names the
// topic, GROUP the group.
import { promisify } from 'node:util'
import { zstdCompress, zstdDecompress } from 'node:zlib'
// oxlint-disable-next-line no-restricted-imports -- a reference stands on the clients themselves
import { Redis } from 'ioredis'
// oxlint-disable-next-line no-restricted-imports -- a reference stands on the clients themselves
import kafkajs from 'kafkajs'
import { createEnrich } from '@millrace/contracts'
import type { EventRow } from '@millrace/contracts'

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs
const { KAFKA_BROKERS = '', FROM = '', GROUP = '', REDIS_STATE_URL = '' } = process.env
const [compress, decompress] = [promisify(zstdCompress), promisify(zstdDecompress)]
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: ({ buffer }: { buffer: Buffer }) => compress(buffer),
  decompress: (buffer: Buffer) => decompress(buffer)
})
const redis = new Redis(REDIS_STATE_URL)
const enrich = createEnrich()
const spans = [
  ['1m', 60_000],
  ['1h', 3_600_000]
] as const

interface Session {
  readonly first: number
  readonly last: number
  readonly events: number
  readonly pageViews: number
  readonly converted: boolean
  readonly entry: string
  readonly exit: string
}

async function count(row: EventRow): Promise<void> {
  const { eventId, eventType, timestamp, sessionId, userId, anonymousId, path } = row
  const seen = `naive:seen:${Math.floor(timestamp / 3_600_000)}`
  if ((await redis.sadd(seen, eventId)) === 0) return
  const key = `naive:session:${sessionId}`
  const held = sessionId === '' ? null : await redis.get(key)
  const work = redis.pipeline()
  for (const [name, length] of spans) {
    const window = `${name}:${timestamp - (timestamp % length)}`
    work.hincrby(`naive:events:${window}`, 'total', 1).hincrby(`naive:events:${window}`, eventType, 1)
    work.pfadd(`naive:users:${window}`, userId === '' ? anonymousId : userId)
    if (sessionId !== '') work.pfadd(`naive:sessions:${window}`, sessionId)
    if (eventType === 'page_view') {
      work.hincrby(`naive:pages:${window}`, 'total', 1).hincrby(`naive:pages:${window}`, path, 1)
    }
    if (eventType === 'purchase') {
      work.hincrby(`naive:conversions:${window}`, 'total', 1).hincrby(`naive:conversions:${window}`, eventType, 1)
    }
  }
  work.expire(seen, 7_200)
  if (sessionId !== '') {
    const session = held === null ? undefined : (JSON.parse(held) as Session)
    const merged: Session = {
      first: Math.min(session?.first ?? timestamp, timestamp),
      last: Math.max(session?.last ?? timestamp, timestamp),
      events: (session?.events ?? 0) + 1,
      pageViews: (session?.pageViews ?? 0) + (eventType === 'page_view' ? 1 : 0),
      converted: (session?.converted ?? false) || eventType === 'purchase',
      entry: session?.entry ?? path,
      exit: path
    }
    work.setex(key, 1_800, JSON.stringify(merged))
  }
  await work.exec()
}

const kafka = new Kafka({ clientId: 'bench', brokers: KAFKA_BROKERS.split(','), logLevel: logLevel.NOTHING })
const consumer = kafka.consumer({ groupId: GROUP, maxWaitTimeInMs: 100, maxBytesPerPartition: 256 * 1024 })
await consumer.connect()
await consumer.subscribe({ topics: [FROM], fromBeginning: true })
consumer.on('consumer.group_join', () => process.stdout.write('0\n'))
await consumer.run({
  autoCommit: false,
  eachBatchAutoResolve: false,
  partitionsConsumedConcurrently: 4,
  async eachBatch({ batch, resolveOffset, heartbeat }) {
    const { topic, partition, messages } = batch
    for (const { offset, value, timestamp } of messages) {
      const record = { topic, partition, offset: BigInt(offset), value, appendedAtMs: Number(timestamp) }
      const enriched = enrich(record)
      if (enriched.ok) await count(enriched.row)
    }
    resolveOffset(batch.lastOffset())
    await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(batch.lastOffset()) + 1n) }])
    await heartbeat()
  }
})
process.on('SIGTERM', () => process.exit(0))
