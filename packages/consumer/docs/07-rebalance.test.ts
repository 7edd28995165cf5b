// Chapter 7: rebalances.
//
// When the group changes, batches in hand get `drainMs` to commit and no new one is cut; then the lanes are fenced:
// buffers are dropped, signals abort, and whatever a late call still yields is counted, never committed. The next
// assignment makes new lanes from the committed offsets. Topics of a family are asked again at wall-clock instants.
import { expect, it } from 'vitest'
import { AppError, done } from '@millrace/kernel'
import { fixedTopics, topicFamily } from '../src/index.ts'
import { allDone, createStage, partition, settle } from './setup.ts'

it('lets a batch in hand commit before the partitions move', async () => {
  const stage = await createStage()
  const gate = Promise.withResolvers<void>()
  const { texts } = await stage.start(async ({ batch }) => {
    await gate.promise
    return batch.items.map(() => done)
  })
  stage.append(0, 'a', 'b', 'c', 'd')
  await settle()
  stage.cluster.rebalance('g')
  await stage.advance(1_000)
  gate.resolve()
  await stage.advance(100)
  expect(texts()).toEqual([['a', 'b', 'c'], ['d']])
  expect(stage.committed()).toBe(4n)
})

it('fences a batch that outlives drainMs: aborted, counted, not committed, and handled again', async () => {
  const stage = await createStage()
  const gate = Promise.withResolvers<void>()
  const { calls, texts } = await stage.start(async ({ batch, texts }) => {
    if (texts.includes('a')) await gate.promise
    return batch.items.map(() => done)
  })
  stage.append(0, 'a', 'b', 'c')
  await settle()
  stage.cluster.rebalance('g')
  await stage.advance(5_000)
  expect(calls[0]?.context.signal.aborted).toBe(true)
  expect(stage.committed()).toBeUndefined()
  await stage.advance(500)
  expect(texts()).toEqual([['a', 'b', 'c']])
  gate.resolve()
  await stage.advance(200)
  expect(texts()).toEqual([
    ['a', 'b', 'c'],
    ['a', 'b', 'c']
  ])
  expect(stage.committed()).toBe(3n)
  expect(await stage.metric('analytics_consumer_stale_batches_total', { group: 'g' })).toBe(1)
})

it('gives up a batch that waits for a dependency at once when a rebalance begins', async () => {
  const stage = await createStage()
  let down = true
  const { calls } = await stage.start(({ batch }) => {
    if (down) throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'no answer')
    return batch.items.map(() => done)
  })
  stage.append(0, 'a', 'b', 'c')
  await settle()
  down = false
  stage.cluster.rebalance('g')
  await settle()
  expect(calls).toHaveLength(2)
  expect(stage.committed()).toBe(3n)
})

it('drops what was buffered and reads it again from the commit', async () => {
  const stage = await createStage()
  const { texts } = await stage.start()
  stage.append(0, 'a', 'b')
  await settle()
  stage.cluster.rebalance('g')
  await settle()
  expect(await stage.metric('analytics_consumer_discarded_records_total', { group: 'g' })).toBe(2)
  await stage.advance(100)
  expect(texts()).toEqual([['a', 'b']])
})

it('shares the partitions with a second member, and takes over those of a member that died', async () => {
  const stage = await createStage(2)
  const one = await stage.start()
  const two = await stage.start()
  stage.append(0, 'a', 'b', 'c')
  stage.append(1, 'x', 'y', 'z')
  await stage.advance(100)
  expect([one.texts().length, two.texts().length]).toEqual([1, 1])
  one.client.crash()
  stage.append(0, 'd', 'e', 'f')
  stage.append(1, 'u', 'v', 'w')
  await stage.advance(100)
  expect([one.texts().length, two.texts().length]).toEqual([1, 3])
  expect([stage.committed(0), stage.committed(1)]).toEqual([6n, 6n])
})

it('learns from a refused commit that the group has moved on without it, and works on after joining anew', async () => {
  const stage = await createStage()
  const slow = Promise.withResolvers<void>()
  const one = await stage.start(async ({ batch }) => {
    await slow.promise
    return batch.items.map(() => done)
  })
  stage.append(0, 'a', 'b', 'c')
  await settle()
  one.client.isolate()
  const two = await stage.start()
  await stage.advance(100)
  expect(two.texts()).toEqual([['a', 'b', 'c']])
  stage.append(0, 'd', 'e', 'f')
  await settle()
  expect(stage.committed()).toBe(6n)
  slow.resolve()
  await settle()
  expect(stage.committed()).toBe(6n)
  expect(one.consumer.ready()).toBe(false)
  one.client.heal()
  await stage.advance(100)
  expect(one.consumer.ready()).toBe(true)
  two.client.crash()
  stage.append(0, 'g', 'h', 'i')
  await stage.advance(100)
  expect(stage.committed()).toBe(9n)
})

it('is not live when the group dropped it and it never joins again', async () => {
  const stage = await createStage()
  const { consumer, client } = await stage.start()
  client.isolate()
  stage.append(0, 'a', 'b', 'c')
  await stage.advance(100)
  expect([consumer.ready(), consumer.live()]).toEqual([false, true])
  await stage.advance(180_000)
  expect(consumer.live()).toBe(false)
})

it('picks up a new topic of the family and grown partitions without a restart', async () => {
  const stage = await createStage()
  const { admin } = stage.cluster
  const topics = topicFamily({ admin, belongs: (topic) => /^events\.[a-z]$/.test(topic), redrive: 'redrive.g' })
  const { texts } = await stage.start(allDone, { topics })
  await admin.createTopics([{ topic: 'events.b', partitions: 1, replicationFactor: 1, config: {} }])
  await admin.growPartitions('events.a', 2)
  stage.cluster.append(partition(0, 'events.b'), 'x', 'y', 'z')
  stage.cluster.append(partition(1), 'a', 'b', 'c')
  await stage.advance(15_000)
  expect(texts().toSorted()).toEqual([
    ['a', 'b', 'c'],
    ['x', 'y', 'z']
  ])
})

it('serves members with different lists of topics: each topic goes to members that know it', async () => {
  const stage = await createStage(2)
  await stage.cluster.admin.createTopics([{ topic: 'events.b', partitions: 2, replicationFactor: 1, config: {} }])
  const old = await stage.start()
  const fresh = await stage.start(allDone, { topics: fixedTopics(['events.a', 'events.b']) })
  for (const index of [0, 1]) stage.cluster.append(partition(index, 'events.b'), 'a', 'b', 'c')
  await stage.advance(100)
  expect([old.calls.length, fresh.calls.length]).toEqual([0, 2])
})
