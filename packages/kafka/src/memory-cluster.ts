// A Kafka cluster in this process for tests: same port, same promises, no network, time from the clock it is given.
// A client stands for one process: it can crash, or be dropped by the coordinator without noticing.
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { MemoryFaults } from './memory-faults.ts'

import { MemoryGroup } from './memory-group.ts'
import { createMemoryLog } from './memory-log.ts'
import type { MemoryLog } from './memory-log.ts'
import type { MemoryMember } from './memory-member.ts'
import { createMemorySampler } from './memory-sampler.ts'
import { partitionKey } from './port.ts'
import type {
  Admin,
  ConsumerClient,
  KafkaRecord,
  LogSampler,
  ProduceOutcome,
  ProduceRecord,
  RoutedProducer,
  TopicPartition
} from './port.ts'

/** The consumer side of one process. */
export interface MemoryClient extends ConsumerClient {
  /** The process dies: its handlers are never called again, its commits never answered. */
  crash(): void
  /** The coordinator drops its members; they go on unaware and their commits are fenced. */
  isolate(): void
  /** Dropped members notice and join anew. */
  heal(): void
  /** The members end for good, as after an unrecoverable client error. */
  fail(error: Error): void
}

export interface MemoryCluster {
  readonly admin: Admin
  readonly sampler: LogSampler
  readonly producer: RoutedProducer
  readonly faults: MemoryFaults
  /** A client that stands for one more process. */
  client(): MemoryClient
  /** Appends values to one partition; returns the offset of the last. Throws when refused. */
  append(partition: TopicPartition, ...values: (string | Buffer | null)[]): bigint
  /** Everything stored in a topic, partition after partition. */
  records(topic: string): readonly KafkaRecord[]
  committed(groupId: string, partition: TopicPartition): bigint | undefined
  /** Makes the group rebalance. */
  rebalance(groupId: string): void
  /** Drops the records before `start`, as retention does. */
  trim(partition: TopicPartition, start: bigint): void
}

/** Creates an empty cluster. `maxRecords` bounds the records of one fetched batch. */
export function createMemoryCluster(options: { readonly clock: Clock; readonly maxRecords?: number }): MemoryCluster {
  const { clock, maxRecords = 500 } = options
  const log = createMemoryLog()
  const faults: MemoryFaults = {}
  const groups = new Map<string, MemoryGroup>()
  const groupOf = (groupId: string): MemoryGroup => {
    const found = groups.get(groupId) ?? new MemoryGroup({ groupId, clock, log, faults, maxRecords })
    groups.set(groupId, found)
    return found
  }
  const poke = (): void => {
    for (const group of groups.values()) group.poke()
  }
  const append = (topic: string, record: ProduceRecord): ProduceOutcome => log.append(topic, record, clock.now())

  return {
    faults,
    admin: createMemoryAdmin(log, groupOf),
    sampler: createMemorySampler(log, groups),
    producer: createMemoryProducer(log, faults, append, poke),
    client: () => createMemoryClient(groupOf),
    append({ topic, partition }, ...values) {
      let last = -1n
      for (const value of values) {
        const outcome = append(topic, { partition, key: null, value: value === null ? null : Buffer.from(value) })
        if (outcome.kind !== 'acked')
          throw new AppError('PIPE_KAFKA_REFUSED', `${topic}:${partition}: ${outcome.message}`)
        last = outcome.offset
      }
      poke()
      return last
    },
    records: (topic) => log.require(topic).partitions.flatMap(({ records }) => records),
    committed: (groupId, partition) => groups.get(groupId)?.committed.get(partitionKey(partition)),
    rebalance: (groupId) => groupOf(groupId).rebalance(),
    trim: ({ topic, partition }, start) => log.trim(topic, partition, start)
  }
}

function createMemoryClient(groupOf: (groupId: string) => MemoryGroup): MemoryClient {
  const joined: { group: MemoryGroup; member: MemoryMember }[] = []
  return {
    async join(options, handlers) {
      const group = groupOf(options.groupId)
      const member = group.join(options, handlers)
      joined.push({ group, member })
      return member
    },
    crash: () => joined.forEach(({ group, member }) => group.crash(member)),
    isolate: () => joined.forEach(({ group, member }) => group.isolate(member)),
    heal: () => joined.forEach(({ group, member }) => group.heal(member)),
    fail: (error) => joined.forEach(({ member }) => member.fail(error))
  }
}

function createMemoryProducer(
  log: MemoryLog,
  faults: MemoryFaults,
  append: (topic: string, record: ProduceRecord) => ProduceOutcome,
  poke: () => void
): RoutedProducer {
  const unknown: ProduceOutcome = { kind: 'unknown', message: 'no reply' }
  return {
    async produce(topic, records) {
      const fault = await faults.produce?.(topic, records)
      if (fault === 'lost') return records.map(() => unknown)
      if (fault === 'refused')
        return records.map(() => ({ kind: 'refused', code: 'INVALID_RECORD', message: 'refused' }))
      const outcomes = records.map((record) => append(topic, record))
      poke()
      return fault === 'reply-lost' ? records.map(() => unknown) : outcomes
    },
    partitionCount: async (topic) => log.require(topic).partitions.length,
    leaders: async (topic) => new Map(log.require(topic).partitions.map((_, partition) => [partition, 1])),
    [Symbol.asyncDispose]: async () => {}
  }
}

function createMemoryAdmin(log: MemoryLog, groupOf: (groupId: string) => MemoryGroup): Admin {
  const rangesOf = (topic: string) =>
    log.require(topic).partitions.flatMap((_, partition) => log.range(topic, partition) ?? [])
  return {
    listTopics: async () => [...log.topics.keys()],
    async describeTopics(topics) {
      return topics.map((topic) => {
        const { partitions, replicationFactor, config } = log.require(topic)
        return { topic, partitions: partitions.length, replicationFactor, inSync: replicationFactor, config }
      })
    },
    async createTopics(topics) {
      for (const { topic, partitions, replicationFactor, config } of topics)
        log.create(topic, partitions, replicationFactor, config)
    },
    growPartitions: async (topic, count) => log.grow(topic, count),
    async alterTopicConfig(topic, config) {
      const found = log.require(topic)
      found.config = { ...found.config, ...config }
    },
    async deleteTopics(topics) {
      for (const topic of topics) log.delete(topic)
    },
    ranges: async (topic) => rangesOf(topic),
    async offsetsAt(topic, timeMs) {
      const { partitions } = log.require(topic)
      return new Map(
        rangesOf(topic).map(({ partition, end }) => {
          const first = partitions[partition]?.records.find(({ appendedAtMs }) => appendedAtMs >= timeMs)
          return [partition, first?.offset ?? end]
        })
      )
    },
    async groupOffsets(groupId, topic) {
      const offsets = new Map<number, bigint>()
      for (const { partition } of rangesOf(topic)) {
        const offset = groupOf(groupId).committed.get(partitionKey({ topic, partition }))
        if (offset !== undefined) offsets.set(partition, offset)
      }
      return offsets
    },
    async setGroupOffsets(groupId, topic, offsets) {
      const group = groupOf(groupId)
      if (group.hasMembers()) throw new AppError('PIPE_CONFLICT', `group ${groupId} has members`)
      for (const [partition, offset] of offsets) group.committed.set(partitionKey({ topic, partition }), offset)
    },
    brokerCount: async () => 1,
    [Symbol.asyncDispose]: async () => {}
  }
}
