// What the memory cluster adds to the port: processes that die or are dropped, and faults.
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createMemoryCluster } from './memory-cluster.ts'
import type { GroupOptions, TopicPartition } from './port.ts'

const options: GroupOptions = {
  groupId: 'g',
  topics: async () => ['t'],
  fallback: 'earliest',
  sessionTimeoutMs: 10_000,
  heartbeatIntervalMs: 1_000,
  rebalanceTimeoutMs: 10_000,
  topicRefreshMs: 15_000,
  maxBytesPerPartition: 1_000_000,
  maxWaitMs: 100
}
const first: TopicPartition = { topic: 't', partition: 0 }

async function open() {
  const clock = createManualClock()
  const cluster = createMemoryCluster({ clock })
  const config = { 'max.message.bytes': '200' }
  await cluster.admin.createTopics([{ topic: 't', partitions: 1, replicationFactor: 1, config }])
  const join = async () => {
    const told: string[] = []
    const client = cluster.client()
    const member = await client.join(options, {
      onAssigned: async (assignment) => {
        told.push(`assigned ${assignment.length}`)
        return new Map()
      },
      onRevoking: async () => void told.push('revoking'),
      onBatch: async ({ records }) => void told.push(`batch ${records.length}`),
      onOutOfRange: () => void told.push('out of range'),
      onFatal: (error) => void told.push(`fatal ${error.message}`)
    })
    await setImmediate()
    return { client, member, told }
  }
  return { clock, cluster, join }
}

it('never calls a crashed process again, and gives its partitions to another', async () => {
  const { cluster, join } = await open()
  const one = await join()
  one.client.crash()
  await setImmediate()
  cluster.append(first, 'a')
  const two = await join()
  expect([one.told, two.told]).toEqual([['assigned 1'], ['assigned 1', 'batch 1']])
  let answered = false
  void one.member.commit([{ ...first, offset: 1n }]).then(() => (answered = true))
  await setImmediate()
  expect(answered).toBe(false)
})

it('fences a dropped process, which goes on reading until it notices', async () => {
  const { cluster, join } = await open()
  const one = await join()
  one.client.isolate()
  cluster.append(first, 'a')
  await setImmediate()
  expect(one.told).toEqual(['assigned 1', 'batch 1'])
  expect(await one.member.commit([{ ...first, offset: 1n }])).toBe('fenced')
  one.client.heal()
  await setImmediate()
  expect(one.told).toEqual(['assigned 1', 'batch 1', 'revoking', 'assigned 1', 'batch 1'])
  expect(await one.member.commit([{ ...first, offset: 1n }])).toBe('committed')
})

it('loses replies and requests as it is told', async () => {
  const { cluster, join } = await open()
  const { member } = await join()
  const commit = () => member.commit([{ ...first, offset: 1n }])
  cluster.faults.commit = () => 'unavailable'
  await expect(commit()).rejects.toMatchObject({ code: 'PIPE_KAFKA_UNAVAILABLE' })
  expect(cluster.committed('g', first)).toBeUndefined()
  cluster.faults.commit = () => 'reply-lost'
  await expect(commit()).rejects.toMatchObject({ code: 'PIPE_KAFKA_UNAVAILABLE' })
  expect(cluster.committed('g', first)).toBe(1n)

  const record = { partition: 0, key: null, value: Buffer.from('a') }
  for (const [fault, kind, stored] of [
    ['lost', 'unknown', 0],
    ['refused', 'refused', 0],
    ['reply-lost', 'unknown', 1]
  ] as const) {
    cluster.faults.produce = () => fault
    expect((await cluster.producer.produce('t', [record])).map((outcome) => outcome.kind)).toEqual([kind])
    expect(cluster.records('t')).toHaveLength(stored)
  }
})

it('drops a member that does not let go within the rebalance timeout', async () => {
  const { clock, cluster, join } = await open()
  const slow = Promise.withResolvers<void>()
  const client = cluster.client()
  const held = { assigned: 0 }
  await client.join(options, {
    onAssigned: async () => {
      held.assigned++
      return new Map()
    },
    onRevoking: () => slow.promise,
    onBatch: async () => {},
    onOutOfRange: () => {},
    onFatal: () => {}
  })
  await setImmediate()
  const two = await join()
  expect(two.told).toEqual([])
  await clock.advance(10_000)
  await setImmediate()
  expect([two.told, held.assigned]).toEqual([['assigned 1'], 1])
  slow.resolve()
  await setImmediate()
  expect(held.assigned).toBe(2)
})
