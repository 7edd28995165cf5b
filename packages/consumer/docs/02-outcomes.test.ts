// Chapter 2: outcomes.
//
// Every record ends in exactly one outcome: done (its effect is in the sink), skip (rightly without effect, counted with
// a reason) or dead (it can never have its effect, and a letter says why). `decode` decides from the bytes alone and
// never throws for bad data; `handle` answers with one outcome per item, in order.
import { expect, it } from 'vitest'
import { AppError, dead, done, skip } from '@millrace/kernel'
import { createStage } from './setup.ts'

const outcomes = async (stage: Awaited<ReturnType<typeof createStage>>) => ({
  done: await stage.metric('analytics_events_processed_total', { group: 'g', outcome: 'done' }),
  skip: await stage.metric('analytics_events_processed_total', { group: 'g', outcome: 'skip' }),
  dead: await stage.metric('analytics_events_processed_total', { group: 'g', outcome: 'dead' })
})

it('counts every record once, by what became of it', async () => {
  const stage = await createStage()
  const policy = { maxRows: 10, maxBytes: 1_000_000, maxAgeMs: 100, scope: 'lane' } as const
  const worker = ({ texts }: { texts: readonly string[] }) =>
    texts.map((text) => (text === 'late' ? skip('late') : text === 'wide' ? dead('size', new Error('too wide')) : done))
  await stage.start(worker, { policy })
  stage.append(0, 'a', 'bad', 'skip', 'late', 'wide', 'b')
  await stage.advance(100)
  expect(await outcomes(stage)).toEqual({ done: 2, skip: 2, dead: 2 })
  expect(stage.committed()).toBe(6n)
})

it('counts what is dropped with its reason', async () => {
  const stage = await createStage()
  await stage.start(({ texts }) => texts.map((text) => (text === 'late' ? skip('late') : done)))
  stage.append(0, 'skip', 'late', 'skip')
  await stage.advance(100)
  expect(await stage.metric('analytics_events_dropped_total', { reason: 'invalid', intentional: 'true' })).toBe(2)
  expect(await stage.metric('analytics_events_dropped_total', { reason: 'late', intentional: 'true' })).toBe(1)
})

it('does not call the worker for a batch without items, and commits behind it', async () => {
  const stage = await createStage()
  const { calls } = await stage.start()
  stage.append(0, 'skip', 'skip', 'skip')
  await stage.advance(100)
  expect(calls).toEqual([])
  expect(stage.committed()).toBe(3n)
})

it('takes a throw of the decoder for a bug that the record brings out: dead, and the neighbours land', async () => {
  const stage = await createStage()
  const { texts } = await stage.start()
  stage.append(0, 'a', 'throw', 'b')
  await stage.advance(100)
  expect(texts()).toEqual([['a', 'b']])
  expect(stage.letters().map(({ letter }) => [letter.reason, letter.code])).toEqual([['bug', 'TypeError']])
})

it('fails without a commit when the number of outcomes is not the number of items', async () => {
  const stage = await createStage()
  const { consumer } = await stage.start(() => [done])
  stage.append(0, 'a', 'b', 'c')
  await stage.advance(100)
  await expect(consumer.done).rejects.toThrow('test: 1 outcomes for 3 items')
  expect(stage.committed()).toBeUndefined()
})

it('fails without a commit on an error it does not know, is neither ready nor live, and takes nothing more', async () => {
  const stage = await createStage()
  const { consumer, calls } = await stage.start(() => {
    throw new Error('a bug')
  })
  expect([consumer.ready(), consumer.live()]).toEqual([true, true])
  stage.append(0, 'a', 'b', 'c')
  await stage.advance(100)
  await expect(consumer.done).rejects.toThrow('a bug')
  expect([consumer.ready(), consumer.live()]).toEqual([false, false])
  stage.append(0, 'd', 'e', 'f')
  await stage.advance(10_000)
  expect(calls).toHaveLength(1)
  expect(stage.committed()).toBeUndefined()
})

it('fails on a fatal error of a store: a person must act', async () => {
  const stage = await createStage()
  const { consumer } = await stage.start(() => {
    throw new AppError('PIPE_TOPIC_MISSING', 'no such topic')
  })
  stage.append(0, 'a', 'b', 'c')
  await stage.advance(100)
  await expect(consumer.done).rejects.toThrow('no such topic')
  expect(stage.committed()).toBeUndefined()
})

it('fails when the client library ends for good', async () => {
  const stage = await createStage()
  const { consumer, client } = await stage.start()
  client.fail(new Error('the client crashed'))
  await expect(consumer.done).rejects.toThrow('the client crashed')
  expect(consumer.live()).toBe(false)
})
