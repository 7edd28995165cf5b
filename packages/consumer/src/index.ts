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
export { parseLetter, toLetter } from './dead-letter.ts'
export type { Letter, LetterStage, Origin } from './dead-letter.ts'
export { keepResuming } from './group-resume.ts'
export { startGroupWorker } from './group-worker.ts'
export type { GroupWorkerOptions } from './group-worker.ts'
export { consumerMetrics } from './metrics.ts'
export { noOrders } from './replay-order.ts'
export type { GroupDesk, GroupOrders, ReplayOrder } from './replay-order.ts'
export { defaultSettings, letterSettings } from './settings.ts'
export { startConsumer } from './start-consumer.ts'
export { fixedTopics, topicFamily } from './topic-set.ts'
