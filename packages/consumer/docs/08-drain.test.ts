// Chapter 8: the stop.
//
// Disposing a consumer, or aborting its signal, ends the intake, flushes what is buffered, commits, and only then leaves
// the group. What does not end within `stopMs` is aborted and left for the next owner: nothing is lost, something is
// handled again. The worker is never called after the stop resolved.
import { expect, it } from 'vitest'
import { AppError, done } from '@millrace/kernel'
import { allDone, createStage, settle } from './setup.ts'

it('flushes what is buffered, commits, and leaves', async () => {
  const stage = await createStage()
  const { consumer, texts } = await stage.start()
  stage.append(0, 'a', 'b')
  await settle()
  await consumer[Symbol.asyncDispose]()
  expect(texts()).toEqual([['a', 'b']])
  expect(stage.committed()).toBe(2n)
  await expect(consumer.done).resolves.toBeUndefined()
})

it('waits for the batch in hand and flushes what was buffered behind it', async () => {
  const stage = await createStage()
  const gate = Promise.withResolvers<void>()
  const { consumer, texts } = await stage.start(async ({ batch }) => {
    await gate.promise
    return batch.items.map(() => done)
  })
  stage.append(0, 'a', 'b', 'c', 'd')
  await settle()
  let stopped = false
  const stop = Promise.resolve(consumer[Symbol.asyncDispose]()).then(() => (stopped = true))
  await settle()
  expect([stopped, consumer.ready()]).toEqual([false, false])
  gate.resolve()
  await stop
  expect(texts()).toEqual([['a', 'b', 'c'], ['d']])
  expect(stage.committed()).toBe(4n)
})

it('takes nothing in and calls nothing after it stopped', async () => {
  const stage = await createStage()
  const { consumer, calls } = await stage.start()
  await consumer[Symbol.asyncDispose]()
  stage.append(0, 'a', 'b', 'c')
  await stage.advance(60_000)
  expect(calls).toEqual([])
  expect(stage.committed()).toBeUndefined()
})

it('begins with the stop when its signal aborts; disposing waits for its end', async () => {
  const stage = await createStage()
  const controller = new AbortController()
  const { consumer, texts } = await stage.start(allDone, {}, { signal: controller.signal })
  stage.append(0, 'a')
  await settle()
  controller.abort()
  expect(consumer.ready()).toBe(false)
  await consumer[Symbol.asyncDispose]()
  expect(texts()).toEqual([['a']])
  expect(stage.committed()).toBe(1n)
})

it('gives up after stopMs: the call is aborted, nothing is committed, the group is left', async () => {
  const stage = await createStage()
  const { consumer, calls } = await stage.start(async ({ context }) => {
    await stage.clock.sleep(600_000, context.signal)
    return []
  })
  stage.append(0, 'a', 'b', 'c')
  await settle()
  const stop = consumer[Symbol.asyncDispose]()
  await stage.advance(10_000)
  await stop
  expect(calls[0]?.context.signal.aborted).toBe(true)
  expect(stage.committed()).toBeUndefined()
  const next = await stage.start()
  await settle()
  expect(next.texts()).toEqual([['a', 'b', 'c']])
})

it('does not wait for ever for a call that ignores its signal', async () => {
  const stage = await createStage()
  const { consumer } = await stage.start(() => new Promise(() => {}))
  stage.append(0, 'a', 'b', 'c')
  await settle()
  const stop = consumer[Symbol.asyncDispose]()
  await stage.advance(12_000)
  await stop
  expect(stage.committed()).toBeUndefined()
})

it('stops while a dependency is down, without its batch', async () => {
  const stage = await createStage()
  const { consumer } = await stage.start(() => {
    throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'no answer')
  })
  stage.append(0, 'a', 'b', 'c')
  await settle()
  const stop = consumer[Symbol.asyncDispose]()
  await stage.advance(10_000)
  await stop
  expect([stage.committed(), stage.letters()]).toEqual([undefined, []])
})

it('stops while it waits for the positions of its sink', async () => {
  const stage = await createStage()
  const { consumer } = await stage.start(allDone, {
    startAt: () => Promise.reject(new AppError('PIPE_REDIS_UNAVAILABLE', 'no answer'))
  })
  await consumer[Symbol.asyncDispose]()
  await expect(consumer.done).resolves.toBeUndefined()
})

it('can be disposed after it failed, and twice', async () => {
  const stage = await createStage()
  const { consumer } = await stage.start(() => {
    throw new TypeError('a bug')
  })
  stage.append(0, 'a', 'b', 'c')
  await settle()
  await consumer[Symbol.asyncDispose]()
  await consumer[Symbol.asyncDispose]()
  await expect(consumer.done).rejects.toThrow('a bug')
})

it('does not call the worker for a batch that was given up before its call', async () => {
  const stage = await createStage()
  const at = async (label: string): Promise<void> => {
    if (label === 'consumer.before-handle') await stage.clock.sleep(30_000)
  }
  const { consumer, calls } = await stage.start(allDone, {}, { faults: { at } })
  stage.append(0, 'a', 'b', 'c')
  await settle()
  const stop = consumer[Symbol.asyncDispose]()
  await stage.advance(13_000)
  await stop
  await stage.advance(60_000)
  expect(calls).toEqual([])
})

it('passes the fault points in order', async () => {
  const stage = await createStage()
  const passed: string[] = []
  await stage.start(allDone, {}, { faults: { at: (label) => void passed.push(label) } })
  stage.append(0, 'a', 'bad', 'b')
  await stage.advance(100)
  expect(passed).toEqual([
    'consumer.after-dlq',
    'consumer.before-handle',
    'consumer.after-handle',
    'consumer.before-commit',
    'consumer.after-commit'
  ])
})

it('refuses contradicting settings', async () => {
  const stage = await createStage()
  await expect(
    stage.start(({ batch }) => batch.items.map(() => done), { settings: { laneRows: 1, drainMs: 60_000 } })
  ).rejects.toThrow(
    'consumer test: laneRows must be at least policy.maxRows; ' +
      'drainMs must be at most half of sessionTimeoutMs and of rebalanceTimeoutMs'
  )
})
