import { expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createMemoryCluster } from '@millrace/kafka'
import type { MemoryCluster } from '@millrace/kafka'
import type { Addressed } from './send-letters.ts'
import { sendLetters } from './send-letters.ts'

async function open(config: Record<string, string> = {}) {
  const cluster = createMemoryCluster({ clock: createManualClock() })
  await cluster.admin.createTopics(
    ['dlq.a', 'dlq.b'].map((topic) => ({ topic, partitions: 2, replicationFactor: 1, config }))
  )
  return { cluster, target: targetOf(cluster) }
}

function targetOf({ producer }: MemoryCluster) {
  return { producer, topicFor: (topic: string) => `dlq.${topic}`, appVersion: '1' }
}

function letter(topic: string, partition: number, value = 'v'): Addressed {
  return { topic, letter: { partition, key: null, value: Buffer.from(value), headers: { 'dlq.id': value } } }
}

it('stores letters in the topic of their origin, in a partition that exists', async () => {
  const { cluster, target } = await open()
  const fates = await sendLetters(target, [letter('a', 0, 'x'), letter('b', 5, 'y'), letter('a', 2, 'z')])
  expect(fates).toEqual([{ kind: 'stored' }, { kind: 'stored' }, { kind: 'stored' }])
  const read = (topic: string) => cluster.records(topic).map(({ partition, value }) => [partition, value?.toString()])
  expect(read('dlq.a')).toEqual([
    [0, 'x'],
    [0, 'z']
  ])
  expect(read('dlq.b')).toEqual([[1, 'y']])
})

it('leaves letters pending whose outcome is unknown', async () => {
  const { cluster, target } = await open()
  cluster.faults.produce = () => 'reply-lost'
  const [fate] = await sendLetters(target, [letter('a', 0)])
  expect(fate).toMatchObject({ kind: 'pending', error: { message: 'dead letter not stored: no reply' } })
})

it('leaves letters pending whose topic is missing, and stores the others', async () => {
  const { target } = await open()
  const fates = await sendLetters(target, [letter('missing', 0), letter('a', 0)])
  expect(fates.map(({ kind }) => kind)).toEqual(['pending', 'stored'])
})

it('stores a stub for a letter that is too large', async () => {
  const { cluster, target } = await open({ 'max.message.bytes': '1000' })
  const fates = await sendLetters(target, [letter('a', 0, 'x'.repeat(100)), letter('a', 0, 'y'.repeat(2_000))])
  // The second letter's id header alone is over the limit here, so even its stub is refused: it waits.
  expect(fates.map(({ kind }) => kind)).toEqual(['stored', 'pending'])
  const small: Addressed = { topic: 'a', letter: { partition: 0, key: null, value: Buffer.alloc(2_000), headers: {} } }
  expect(await sendLetters(target, [small])).toEqual([{ kind: 'stubbed' }])
  expect(cluster.records('dlq.a').map(({ value }) => value?.length)).toEqual([100, undefined])
})

it('sends letters in requests of at most 1 MiB, and a larger letter alone', async () => {
  const { cluster, target } = await open({ 'max.message.bytes': '3000000' })
  const requests: number[] = []
  cluster.faults.produce = (_topic, records) => void requests.push(records.length)
  const sizes = [400_000, 400_000, 400_000, 1_500_000, 100]
  const letters = sizes.map((size) => {
    return { topic: 'a', letter: { partition: 0, key: null, value: Buffer.alloc(size), headers: {} } }
  })
  expect((await sendLetters(target, letters)).map(({ kind }) => kind)).toEqual(sizes.map(() => 'stored'))
  expect(requests).toEqual([2, 1, 1, 1])
})

it('sends each letter of a refused request alone before it gives up the bytes of any', async () => {
  const { cluster, target } = await open()
  cluster.faults.produce = (_topic, records) => (records.length > 1 ? 'refused' : undefined)
  const fates = await sendLetters(target, [letter('a', 0, 'x'), letter('a', 0, 'y')])
  expect(fates).toEqual([{ kind: 'stored' }, { kind: 'stored' }])
  expect(cluster.records('dlq.a').map(({ value }) => value?.toString())).toEqual(['x', 'y'])
})
