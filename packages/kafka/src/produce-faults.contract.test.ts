// Producing through faults, on the model of three brokers.
import { expect, test } from 'vitest'
import { produceFaultsContract } from '../test/produce-faults.ts'
import { openStubCluster } from '../test/stub-cluster.ts'

produceFaultsContract({ name: 'three model brokers', open: async () => openStubCluster() })

test('a send of the library that resolves without the leader that died does not acknowledge its records', async () => {
  await using cluster = openStubCluster({ staleHint: true })
  const topic = await cluster.newTopic(2, 2)
  await using producer = await cluster.producer(15_000)
  cluster.freeze(2)
  const sending = producer.produce(topic, [
    { partition: 0, key: null, value: Buffer.from('a') },
    { partition: 1, key: null, value: Buffer.from('b') }
  ])
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  cluster.kill(2)
  expect((await sending).map(({ kind }) => kind)).toEqual(['acked', 'unknown'])
  expect([await cluster.values(topic, 0), await cluster.values(topic, 1)]).toEqual([['a'], []])
})
