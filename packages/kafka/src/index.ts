export { partitionKey } from './port.ts'
export type {
  Admin,
  Commit,
  ConsumerClient,
  GroupHandlers,
  GroupMember,
  GroupOptions,
  KafkaRecord,
  PartitionRange,
  ProduceOutcome,
  ProduceRecord,
  Producer,
  RecordBatch,
  RecordHeaders,
  TopicCreation,
  TopicDescription,
  TopicPartition
} from './port.ts'
