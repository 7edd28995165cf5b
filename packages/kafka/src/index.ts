export { adminLater } from './admin-later.ts'
export { createMemoryCluster } from './memory-cluster.ts'
export type { MemoryClient, MemoryCluster } from './memory-cluster.ts'
export type { CommitFault, MemoryFaults, ProduceFault } from './memory-faults.ts'
export { openKafka } from './open-kafka.ts'
export type { OpenKafkaDeps } from './open-kafka.ts'
export { assertAcked } from './assert-acked.ts'
export { assignPartitions } from './assignment.ts'
export type { MemberPartitions, SubscribedMember } from './assignment.ts'
export { partitionFor } from './partitioner.ts'
export type { Flush } from './partition-lanes.ts'
export { createPartitionQueue } from './partition-queue.ts'
export type { PartitionQueueDeps } from './partition-queue.ts'
export { partitionKey } from './port.ts'
export type {
  Admin,
  Commit,
  ConsumerClient,
  GroupHandlers,
  GroupMember,
  GroupOptions,
  Kafka,
  KafkaRecord,
  LogSampler,
  PartitionHead,
  PartitionRange,
  ProduceOutcome,
  ProduceRecord,
  Producer,
  ProducerOptions,
  RecordBatch,
  RecordHeaders,
  RoutedProducer,
  TopicCreation,
  TopicDescription,
  TopicPartition
} from './port.ts'
export { samplerLater } from './sampler-later.ts'
export type { OutgoingEvent, PublishLimits, PublishOutcome, Publisher, UnavailableReason } from './publisher.ts'
