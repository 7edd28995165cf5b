// The client's view of a cluster, for requests that its admin client does not make or does not put together.
import type { Cluster, Kafka as KafkaJS } from 'kafkajs'
import { createAssigner } from './kafkajs-assigner.ts'

/**
 * Opens a cluster of `client`. The library gives it away only to assigners of a consumer; this consumer joins nothing. Throws the
 * client's error.
 */
export async function openCluster(client: KafkaJS): Promise<Cluster> {
  const { promise, resolve } = Promise.withResolvers<Cluster>()
  const assigner = createAssigner({ onCluster: resolve, beforeJoin: async () => undefined })
  client.consumer({ groupId: 'admin', partitionAssigners: [assigner], allowAutoTopicCreation: false })
  const cluster = await promise
  try {
    await cluster.connect()
    await cluster.refreshMetadata()
  } catch (error) {
    // What it has connected already would stay, one more with each attempt.
    cluster.disconnect().catch(() => undefined)
    throw error
  }
  return cluster
}
