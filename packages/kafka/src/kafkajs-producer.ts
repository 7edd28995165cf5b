// The library's producer as our transport: explicit partitions, acks from all in-sync replicas, one attempt per call.
// Not idempotent: its broker-side deduplication can swallow another message, and copies are removed downstream.
import kafkajs from 'kafkajs'
import type { CompressionTypes, Kafka as KafkaJS, Message, Producer as KafkaJSProducer } from 'kafkajs'
import type { Clock } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import { within } from './bounded.ts'
import { compressionType } from './codecs.ts'
import { classifyKafka, toAppError } from './kafkajs-errors.ts'
import type { ProduceRecord, ProducerOptions, RoutedProducer } from './port.ts'
import { deliver } from './produce-delivery.ts'
import type { ProduceTransport } from './produce-delivery.ts'
import type { TopicLeaders } from './topic-leaders.ts'

export interface ProducerDeps {
  readonly createClient: () => KafkaJS
  readonly leaders: TopicLeaders
  readonly clock: Clock
  readonly log: Logger
}

const maxRecordsPerPartition = 1_000
const warmUpMs = 2_000
const closeMs = 5_000

/** Opens a producer. It connects now when it can, else with the first record: a broker that is down is a wait. */
export async function openProducer(deps: ProducerDeps, options: ProducerOptions = {}): Promise<RoutedProducer> {
  const { clock, log, leaders } = deps
  const ackTimeoutMs = options.ackTimeoutMs ?? 10_000
  const connection = createConnection(deps, ackTimeoutMs, compressionType(options.compression ?? 'zstd'))
  await connection.warmUp()
  const leadersOf = async (topic: string): Promise<ReadonlyMap<number, number>> => {
    try {
      return await leaders.leaders(topic)
    } catch (error) {
      throw toAppError(error, `reading the partitions of ${topic}`)
    }
  }
  let closed = false
  return {
    async produce(topic, records, call) {
      if (closed) return records.map(() => ({ kind: 'unknown', message: 'the producer is closed', notStored: true }))
      const transport: ProduceTransport = { send: connection.send, leaders: leaders.leaders }
      return await deliver(topic, records, { transport, clock, log, ackTimeoutMs, maxRecordsPerPartition, ...call })
    },
    partitionCount: async (topic) => (await leadersOf(topic)).size,
    leaders: leadersOf,
    async [Symbol.asyncDispose]() {
      closed = true
      await connection.close()
    }
  }
}

interface Connection {
  readonly send: ProduceTransport['send']
  warmUp(): Promise<void>
  close(): Promise<void>
}

/** A library producer with the number of requests that still use it. */
interface Lease {
  readonly producer: KafkaJSProducer
  connected: Promise<void> | undefined
  users: number
  retired: boolean
}

/**
 * One library producer at a time. It is replaced after UNKNOWN_TOPIC_OR_PARTITION: the library asks for the metadata of
 * every topic it ever sent to at once, so one deleted topic would fail all the others from then on.
 */
function createConnection(
  { createClient, clock, log }: ProducerDeps,
  ackTimeoutMs: number,
  compression: CompressionTypes
): Connection {
  const open = (): Lease => ({ producer: newProducer(createClient()), connected: undefined, users: 0, retired: false })
  let lease = open()
  const connect = (used: Lease): Promise<void> => {
    used.connected ??= used.producer.connect()
    used.connected.catch(() => {
      used.connected = undefined
    })
    return used.connected
  }
  const release = async (used: Lease): Promise<void> => {
    used.users--
    if (used.retired && used.users === 0) await used.producer.disconnect()
  }
  return {
    async send(topic, records, sentAtMs) {
      const used = lease
      used.users++
      try {
        await connect(used)
        const messages = records.map((record) => toMessage(record, sentAtMs))
        return await used.producer.send({ topic, messages, acks: -1, compression, timeout: ackTimeoutMs })
      } catch (error) {
        if (classifyKafka(error).kind === 'missing' && used === lease) {
          lease = open()
          used.retired = true
        }
        throw error
      } finally {
        release(used).catch((error: unknown) => log.debug({ err: error }, 'closing a producer failed'))
      }
    },
    async warmUp() {
      const failed = (error: unknown): void =>
        log.warn({ code: classifyKafka(error).code }, 'Kafka is not reachable yet; records will be tried as they come')
      await within(connect(lease), warmUpMs, clock).catch(failed)
    },
    async close() {
      lease.retired = true
      if (lease.users === 0) await within(lease.producer.disconnect(), closeMs, clock)
    }
  }
}

function newProducer(client: KafkaJS): KafkaJSProducer {
  return client.producer({
    allowAutoTopicCreation: false,
    idempotent: false,
    maxInFlightRequests: 5,
    metadataMaxAge: 10_000,
    retry: { retries: 0 },
    createPartitioner:
      () =>
      ({ partitionMetadata, message }) => {
        const partition = message.partition ?? -1
        if (partitionMetadata.some(({ partitionId }) => partitionId === partition)) return partition
        // Our metadata may be fresher than the library's; this error makes it refresh before the next attempt.
        const unknown = new kafkajs.KafkaJSError(`partition ${partition} is not known yet`)
        throw Object.assign(unknown, { name: 'KafkaJSMetadataNotLoaded' })
      }
  })
}

function toMessage({ partition, key, value, headers, timestampMs }: ProduceRecord, sentAtMs: number): Message {
  const message = { partition, key, value, timestamp: String(timestampMs ?? sentAtMs) }
  return headers === undefined ? message : { ...message, headers: { ...headers } }
}
