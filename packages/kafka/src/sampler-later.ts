// For services: a sampler that does not need a broker to be there when the service starts.
import type { Kafka, LogSampler } from './port.ts'

/** A sampler, opened by the first call; a call that cannot open it throws and the next tries. */
export function samplerLater(kafka: Pick<Kafka, 'sampler'>): Omit<LogSampler, typeof Symbol.asyncDispose> {
  let opening: Promise<LogSampler> | undefined
  const sampler = (): Promise<LogSampler> => {
    if (opening === undefined) {
      opening = kafka.sampler()
      opening.catch(() => {
        opening = undefined
      })
    }
    return opening
  }
  return {
    heads: async (wanted) => (await sampler()).heads(wanted),
    committed: async (groupId, partitions) => (await sampler()).committed(groupId, partitions),
    appendTimes: async (positions) => (await sampler()).appendTimes(positions),
    holders: async (topic) => (await sampler()).holders(topic)
  }
}
