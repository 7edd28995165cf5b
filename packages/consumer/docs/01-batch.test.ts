// Chapter 1: batches.
//
// A consumer reads the partitions of a group. Each partition has a lane that buffers records in order. A lane is flushed
// when it holds `maxRows` records or `maxBytes`, or when its oldest record is `maxAgeMs` old: the records become items
// (decode), the items one batch (handle), and once the batch had its effect the position after it is committed. With the
// scope `process` one batch takes what all lanes hold, so that many partitions make few calls.
import { expect, it } from 'vitest'
import { done } from '@millrace/kernel'
import { allDone, createStage, partition, settle } from './setup.ts'

it('hands over a batch when maxRows records are there, and commits behind it', async () => {
  const stage = await createStage()
  const { texts } = await stage.start()
  stage.append(0, 'a', 'b')
  await settle()
  expect(texts()).toEqual([])
  stage.append(0, 'c', 'd')
  await settle()
  expect(texts()).toEqual([['a', 'b', 'c']])
  expect(stage.committed()).toBe(3n)
})

it('hands over what is there when the oldest record is maxAgeMs old', async () => {
  const stage = await createStage()
  const { texts } = await stage.start()
  stage.append(0, 'a')
  await stage.advance(50)
  stage.append(0, 'b')
  await stage.advance(49)
  expect(texts()).toEqual([])
  await stage.advance(1)
  expect(texts()).toEqual([['a', 'b']])
  expect(stage.committed()).toBe(2n)
})

it('hands over what is there when maxBytes are reached, and never more than maxBytes at once', async () => {
  const stage = await createStage()
  const policy = { maxRows: 100, maxBytes: 1_000, maxAgeMs: 100, scope: 'lane' } as const
  const { texts } = await stage.start(allDone, { policy })
  stage.append(0, 'x'.repeat(600), 'y'.repeat(600))
  await settle()
  expect(texts()).toEqual([['x'.repeat(600)]])
})

it('tells a batch the range of the log it covers', async () => {
  const stage = await createStage()
  const { calls } = await stage.start()
  stage.append(0, 'a', 'skip', 'c', 'd')
  await stage.advance(100)
  expect(calls.map(({ batch }) => batch.ranges)).toEqual([
    [{ ...partition(0), from: 0n, to: 3n, start: 0, count: 2 }],
    [{ ...partition(0), from: 3n, to: 4n, start: 0, count: 1 }]
  ])
})

it('handles partitions side by side, up to `concurrency` batches at once, and one batch of a partition at a time', async () => {
  const stage = await createStage(3)
  const gate = Promise.withResolvers<void>()
  const worker = async ({ batch }: { batch: { items: readonly unknown[] } }) => {
    await gate.promise
    return batch.items.map(() => done)
  }
  const { calls, texts } = await stage.start(worker, { settings: { concurrency: 2 } })
  for (const index of [0, 1, 2]) stage.append(index, `a${index}`, `b${index}`, `c${index}`, `d${index}`)
  await stage.advance(100)
  expect(calls).toHaveLength(2)
  gate.resolve()
  await stage.advance(100)
  expect(texts().flat().sort()).toEqual(['a0', 'a1', 'a2', 'b0', 'b1', 'b2', 'c0', 'c1', 'c2', 'd0', 'd1', 'd2'])
  expect([stage.committed(0), stage.committed(1), stage.committed(2)]).toEqual([4n, 4n, 4n])
})

it('makes one batch of all partitions and one commit with the scope `process`', async () => {
  const stage = await createStage(3)
  const commits: number[] = []
  stage.cluster.faults.commit = (_group, all) => void commits.push(all.length)
  const policy = { maxRows: 6, maxBytes: 1_000_000, maxAgeMs: 100, scope: 'process' } as const
  const { calls } = await stage.start(allDone, { policy })
  for (const index of [0, 1, 2]) stage.append(index, `a${index}`, `b${index}`)
  await settle()
  expect(calls).toHaveLength(1)
  expect(
    calls[0]?.batch.ranges.map(({ partition, from, to, start, count }) => [partition, from, to, start, count])
  ).toEqual([
    [0, 0n, 2n, 0, 2],
    [1, 0n, 2n, 2, 2],
    [2, 0n, 2n, 4, 2]
  ])
  expect(commits).toEqual([3])
})

it('flushes the largest buffer first when all together are over their budget', async () => {
  const stage = await createStage(2)
  const policy = { maxRows: 100, maxBytes: 10_000, maxAgeMs: 60_000, scope: 'lane' } as const
  const { texts } = await stage.start(allDone, { policy, settings: { totalBytes: 1_000 } })
  stage.append(0, 'a')
  stage.append(1, 'x', 'y', 'z')
  await settle()
  expect(texts()).toEqual([])
  stage.append(0, 'b'.repeat(700))
  await settle()
  expect(texts()).toEqual([['a', 'b'.repeat(700)]])
  expect(await stage.metric('analytics_consumer_flushes_total', { group: 'g', reason: 'pressure' })).toBe(1)
})

it('pauses a partition whose buffer is full and reads on when it is half empty; other partitions go on', async () => {
  const stage = await createStage(2)
  const gate = Promise.withResolvers<void>()
  const { calls, texts } = await stage.start(async ({ batch, texts }) => {
    if (texts[0] === 'r0') await gate.promise
    return batch.items.map(() => done)
  })
  for (let index = 0; index < 20; index++) {
    stage.append(0, `r${index}`)
    await settle()
  }
  stage.append(1, 'x', 'y', 'z')
  await settle()
  expect(texts()).toEqual([
    ['r0', 'r1', 'r2'],
    ['x', 'y', 'z']
  ])
  gate.resolve()
  await stage.advance(200)
  expect(calls.slice(2).flatMap(({ texts }) => texts)).toEqual(
    Array.from({ length: 17 }, (_, index) => `r${index + 3}`)
  )
  expect(stage.committed(0)).toBe(20n)
})
