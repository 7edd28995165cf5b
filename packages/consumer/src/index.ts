export { item, rewind } from './definition.ts'
export type {
  Batch,
  BatchRange,
  ConsumedRecord,
  Consumer,
  ConsumerDef,
  ConsumerDeps,
  ConsumerSettings,
  Decoded,
  FaultPoints,
  FlushPolicy,
  HandleContext,
  LetterTarget,
  Rewind,
  TopicSet
} from './definition.ts'
export { startConsumer } from './start-consumer.ts'
export { fixedTopics, topicFamily } from './topic-set.ts'
