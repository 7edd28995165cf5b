// The stored part of the in-process cluster: topics, their partitions and the records in them. Offsets are dense.
import { AppError } from '@millrace/kernel'
import type { KafkaRecord, PartitionRange, ProduceOutcome, ProduceRecord, RecordHeaders } from './port.ts'

/** Bytes that Kafka adds to a record at most, as counted against `max.message.bytes`. */
const recordOverhead = 96
const defaultMaxMessageBytes = 1_048_588

interface MemoryPartition {
  start: bigint
  readonly records: KafkaRecord[]
}

/** One topic: its partitions and non-default settings. */
export interface MemoryTopic {
  readonly partitions: MemoryPartition[]
  replicationFactor: number
  config: Record<string, string>
}

/** The logs of all topics. */
export interface MemoryLog {
  readonly topics: ReadonlyMap<string, MemoryTopic>
  /** Creates the topic unless it exists. */
  create(topic: string, partitions: number, replicationFactor: number, config: Readonly<Record<string, string>>): void
  delete(topic: string): void
  /** Adds partitions up to `count`; PIPE_INVALID_INPUT when that is fewer than there are. */
  grow(topic: string, count: number): void
  /** The topic; PIPE_TOPIC_MISSING when absent. */
  require(topic: string): MemoryTopic
  /** Appends one record, or refuses it as a broker would. */
  append(topic: string, record: ProduceRecord, nowMs: number): ProduceOutcome
  range(topic: string, partition: number): PartitionRange | undefined
  /** Up to `maxRecords` and about `maxBytes`, at least one record, from `offset` on. */
  read(topic: string, partition: number, offset: bigint, maxRecords: number, maxBytes: number): readonly KafkaRecord[]
  /** Drops the records before `start`, as retention does. */
  trim(topic: string, partition: number, start: bigint): void
}

/** Creates empty logs. */
export function createMemoryLog(): MemoryLog {
  const topics = new Map<string, MemoryTopic>()
  const require = (topic: string): MemoryTopic => {
    const found = topics.get(topic)
    if (found === undefined) throw new AppError('PIPE_TOPIC_MISSING', `topic ${topic} does not exist`)
    return found
  }
  const partitionOf = (topic: string, partition: number): MemoryPartition | undefined =>
    topics.get(topic)?.partitions[partition]
  return {
    topics,
    require,
    create(topic, partitions, replicationFactor, config) {
      if (topics.has(topic)) return
      topics.set(topic, {
        partitions: Array.from({ length: partitions }, emptyPartition),
        replicationFactor,
        config: { ...config }
      })
    },
    delete: (topic) => void topics.delete(topic),
    grow(topic, count) {
      const { partitions } = require(topic)
      if (count < partitions.length)
        throw new AppError('PIPE_INVALID_INPUT', `${topic} has ${partitions.length} partitions, asked for ${count}`)
      while (partitions.length < count) partitions.push(emptyPartition())
    },
    append(topic, record, nowMs) {
      const target = partitionOf(topic, record.partition)
      if (target === undefined)
        return { kind: 'refused', code: 'UNKNOWN_TOPIC_OR_PARTITION', message: `${topic}:${record.partition}` }
      const headers = toHeaders(record.headers ?? {})
      const key = record.key === null ? null : Buffer.from(record.key)
      const bytes = sizeOf(key, record.value, headers)
      const limit = Number(topics.get(topic)?.config['max.message.bytes'] ?? defaultMaxMessageBytes)
      if (bytes > limit)
        return { kind: 'refused', code: 'MESSAGE_TOO_LARGE', message: `${bytes} bytes, limit ${limit}` }
      const offset = endOf(target)
      const { partition } = record
      const value = record.value === null ? null : Buffer.from(record.value)
      target.records.push({ topic, partition, offset, key, value, headers, appendedAtMs: nowMs })
      return { kind: 'acked', offset, appendedAtMs: nowMs }
    },
    range(topic, partition) {
      const found = partitionOf(topic, partition)
      return found === undefined ? undefined : { topic, partition, start: found.start, end: endOf(found) }
    },
    read(topic, partition, offset, maxRecords, maxBytes) {
      const found = partitionOf(topic, partition)
      if (found === undefined) return []
      const taken: KafkaRecord[] = []
      let bytes = 0
      for (let index = Number(offset - found.start); taken.length < maxRecords && bytes < maxBytes; index++) {
        const record = found.records[index]
        if (record === undefined) break
        bytes += sizeOf(record.key, record.value, record.headers)
        taken.push(record)
      }
      return taken
    },
    trim(topic, partition, start) {
      const found = partitionOf(topic, partition)
      if (found === undefined || start <= found.start) return
      found.records.splice(0, Number(start - found.start))
      found.start = start
    }
  }
}

function emptyPartition(): MemoryPartition {
  return { start: 0n, records: [] }
}

function endOf(partition: MemoryPartition): bigint {
  return partition.start + BigInt(partition.records.length)
}

function toHeaders(headers: Readonly<Record<string, Buffer | string>>): RecordHeaders {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Buffer.from(value)]))
}

function sizeOf(key: Buffer | null, value: Buffer | null, headers: RecordHeaders): number {
  let bytes = recordOverhead + (key?.byteLength ?? 0) + (value?.byteLength ?? 0)
  for (const [name, header] of Object.entries(headers)) bytes += name.length + header.byteLength + 4
  return bytes
}
