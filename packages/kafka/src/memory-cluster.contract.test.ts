// The port's contract on the memory driver: what the broker does, it does.
import { systemClock } from '@millrace/kernel'
import { kafkaContract } from '../test/contract.ts'
import { createMemoryCluster } from './memory-cluster.ts'

kafkaContract({
  name: 'memory',
  topicRefreshMs: 50,
  growthMs: 1_000,
  open: async () => {
    const cluster = createMemoryCluster({ clock: systemClock })
    return {
      admin: cluster.admin,
      sampler: cluster.sampler,
      producer: cluster.producer,
      consumers: cluster.client(),
      trim: async (partition, start) => cluster.trim(partition, start),
      [Symbol.asyncDispose]: async () => undefined
    }
  }
})
