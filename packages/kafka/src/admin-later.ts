// For services: a broker that is down when a service starts is a wait, not a reason to die.
import type { Admin, Kafka } from './port.ts'

type LateAdmin = Pick<
  Admin,
  'listTopics' | 'brokerCount' | 'describeTopics' | 'ranges' | 'offsetsAt' | 'groupOffsets' | 'createTopics'
>

/** The reading part of an admin client, and the creation of topics, opened by the first call; a call that cannot open it throws and the next tries. */
export function adminLater(kafka: Pick<Kafka, 'admin'>): LateAdmin {
  let opening: Promise<Admin> | undefined
  const admin = (): Promise<Admin> => {
    if (opening === undefined) {
      opening = kafka.admin()
      opening.catch(() => {
        opening = undefined
      })
    }
    return opening
  }
  return {
    listTopics: async () => (await admin()).listTopics(),
    brokerCount: async () => (await admin()).brokerCount(),
    describeTopics: async (topics) => (await admin()).describeTopics(topics),
    ranges: async (topic) => (await admin()).ranges(topic),
    offsetsAt: async (topic, timeMs) => (await admin()).offsetsAt(topic, timeMs),
    groupOffsets: async (groupId, topic) => (await admin()).groupOffsets(groupId, topic),
    createTopics: async (topics) => (await admin()).createTopics(topics)
  }
}
