import type { Cluster, Kafka, PartitionAssigner } from 'kafkajs'
import { expect, it } from 'vitest'
import { openCluster } from './kafkajs-cluster.ts'

it('closes what it connected when the cluster then tells nothing', async () => {
  const away = new Error('away')
  const calls: string[] = []
  const cluster = {
    connect: async () => void calls.push('connect'),
    refreshMetadata: async () => Promise.reject(away),
    disconnect: async () => void calls.push('disconnect')
  }
  // What is called of a client: its assigners are given the cluster when a consumer is made.
  const client = {
    consumer: ({ partitionAssigners: [assigner] }: { readonly partitionAssigners: readonly PartitionAssigner[] }) =>
      assigner?.({ cluster: cluster as unknown as Cluster, groupId: 'admin', logger: undefined as never })
  }
  await expect(openCluster(client as unknown as Kafka)).rejects.toBe(away)
  expect(calls).toEqual(['connect', 'disconnect'])
})
