// For services: a broker that is down when a service starts is a wait, not a reason to die.
import type { Admin, Kafka } from './port.ts'

/** The reading part of an admin client, opened by the first call; a call that cannot open it throws and the next tries. */
export function adminLater(kafka: Pick<Kafka, 'admin'>): Pick<Admin, 'listTopics' | 'brokerCount'> {
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
    brokerCount: async () => (await admin()).brokerCount()
  }
}
