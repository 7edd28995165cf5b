// For services: a sampler that does not need a broker to be there when the service starts.
import { later } from '@millrace/kernel'
import type { Kafka, LogSampler } from './port.ts'

/** A sampler, opened by the first call; a call that cannot open it throws and the next tries. */
export function samplerLater(kafka: Pick<Kafka, 'sampler'>): Omit<LogSampler, typeof Symbol.asyncDispose> {
  const sampler = later(() => kafka.sampler())
  return {
    heads: async (wanted) => (await sampler()).heads(wanted),
    committed: async (groupId, partitions) => (await sampler()).committed(groupId, partitions),
    appendTimes: async (positions) => (await sampler()).appendTimes(positions),
    holders: async (topic) => (await sampler()).holders(topic)
  }
}
