// For services: a broker that is down when a service starts is a wait, not a reason to die.
import { later } from '@millrace/kernel'
import type { Admin, Kafka } from './port.ts'

type LateAdmin = Omit<Admin, typeof Symbol.asyncDispose>

/** An admin client, opened by the first call; a call that cannot open it throws and the next tries. */
export function adminLater(kafka: Pick<Kafka, 'admin'>): LateAdmin {
  const admin = later(() => kafka.admin())
  return {
    listTopics: async () => (await admin()).listTopics(),
    brokerCount: async () => (await admin()).brokerCount(),
    describeTopics: async (topics) => (await admin()).describeTopics(topics),
    ranges: async (topic) => (await admin()).ranges(topic),
    offsetsAt: async (topic, timeMs) => (await admin()).offsetsAt(topic, timeMs),
    groupOffsets: async (groupId, topic) => (await admin()).groupOffsets(groupId, topic),
    createTopics: async (topics) => (await admin()).createTopics(topics),
    growPartitions: async (topic, count) => (await admin()).growPartitions(topic, count),
    alterTopicConfig: async (topic, config) => (await admin()).alterTopicConfig(topic, config),
    deleteTopics: async (topics) => (await admin()).deleteTopics(topics),
    setGroupOffsets: async (groupId, topic, offsets) => (await admin()).setGroupOffsets(groupId, topic, offsets)
  }
}
