// Chapter 4: a dependency is down.
//
// The records are innocent, so they never become dead letters. The same batch is tried again after a wait that doubles
// up to a cap, its partition is paused meanwhile, and the others go on. When it takes too long the consumer is not
// ready, but it lives: restarting it would not help.
import { expect, it } from 'vitest'
import { AppError, done } from '@millrace/kernel'
import { createStage, settle } from './setup.ts'

const down = new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'no answer')

it('tries the same batch again with doubled waits up to the cap, and counts the attempts for the worker', async () => {
  const stage = await createStage()
  const at: number[] = []
  const settings = { backoff: { baseMs: 100, capMs: 400, jitter: 0 } }
  const { calls, texts } = await stage.start(
    ({ batch }) => {
      at.push(stage.clock.monotonic())
      if (at.length < 6) throw down
      return batch.items.map(() => done)
    },
    { settings }
  )
  stage.append(0, 'a', 'b', 'c', 'd')
  await stage.advance(2_000)
  expect(at.slice(0, 6)).toEqual([0, 100, 300, 700, 1_100, 1_500])
  expect(texts().slice(0, 6)).toEqual(Array.from({ length: 6 }, () => ['a', 'b', 'c']))
  expect(calls.slice(0, 6).map(({ context }) => context.attempt)).toEqual([1, 2, 3, 4, 5, 6])
  expect(stage.committed()).toBe(4n)
  expect(stage.letters()).toEqual([])
})

it('does not hold up other partitions', async () => {
  const stage = await createStage(2)
  const { texts } = await stage.start(({ texts, batch }) => {
    if (texts[0] === 'a') throw down
    return batch.items.map(() => done)
  })
  stage.append(0, 'a', 'b', 'c')
  await settle()
  stage.append(1, 'x', 'y', 'z')
  await settle()
  expect(texts()).toEqual([
    ['a', 'b', 'c'],
    ['x', 'y', 'z']
  ])
  expect([stage.committed(0), stage.committed(1)]).toEqual([undefined, 3n])
})

it('buffers no more of a partition that waits', async () => {
  const stage = await createStage()
  await stage.start(() => {
    throw down
  })
  stage.append(0, 'a', 'b', 'c')
  await settle()
  for (let index = 0; index < 50; index++) stage.append(0, `r${index}`)
  await settle()
  expect(await stage.metric('analytics_consumer_records_total', { group: 'g' })).toBe(3)
})

it('is not ready while a batch waits longer than unreadyAfterMs, stays live, and is ready again afterwards', async () => {
  const stage = await createStage()
  let answer = (): void => {
    throw down
  }
  const { consumer } = await stage.start(({ batch }) => {
    answer()
    return batch.items.map(() => done)
  })
  stage.append(0, 'a', 'b', 'c')
  await stage.advance(29_000)
  expect(consumer.ready()).toBe(true)
  await stage.advance(2_000)
  expect([consumer.ready(), consumer.live()]).toEqual([false, true])
  answer = () => {}
  await stage.advance(60_000)
  expect([consumer.ready(), stage.committed()]).toEqual([true, 3n])
})

it('aborts the signal of a call that takes longer than maxHandleMs, and tries the batch again', async () => {
  const stage = await createStage()
  const reasons: unknown[] = []
  const { calls } = await stage.start(({ context: { signal, attempt }, batch }) => {
    if (attempt > 1) return batch.items.map(() => done)
    const { promise, reject } = Promise.withResolvers<never>()
    signal.addEventListener('abort', () => {
      reasons.push(signal.reason)
      reject(new DOMException('aborted', 'AbortError'))
    })
    return promise
  })
  stage.append(0, 'a', 'b', 'c')
  await stage.advance(29_950)
  expect(reasons).toEqual([])
  await stage.advance(50)
  expect(reasons).toMatchObject([{ code: 'PIPE_DEADLINE' }])
  await stage.advance(250)
  expect(calls).toHaveLength(2)
  expect(stage.committed()).toBe(3n)
})

it('gives a call that reports progress its time anew', async () => {
  const stage = await createStage()
  const { calls, consumer } = await stage.start(async ({ context, batch }) => {
    for (let step = 0; step < 6; step++) {
      await stage.clock.sleep(20_000, context.signal)
      context.progress()
    }
    return batch.items.map(() => done)
  })
  stage.append(0, 'a', 'b', 'c')
  await stage.advance(119_000)
  expect(consumer.live()).toBe(true)
  await stage.advance(2_000)
  expect(calls.map(({ context }) => context.signal.aborted)).toEqual([false])
  expect(stage.committed()).toBe(3n)
})

it('is not live when a call ignores its signal for good', async () => {
  const stage = await createStage()
  const { consumer } = await stage.start(() => new Promise(() => {}))
  stage.append(0, 'a', 'b', 'c')
  await stage.advance(89_000)
  expect(consumer.live()).toBe(true)
  await stage.advance(2_000)
  expect(consumer.live()).toBe(false)
})

it('repeats a commit that was not answered, and does not handle the batch again for it', async () => {
  const stage = await createStage()
  const { calls } = await stage.start()
  let refusals = 2
  stage.cluster.faults.commit = () => (refusals-- > 0 ? 'unavailable' : undefined)
  stage.append(0, 'a', 'b', 'c')
  await stage.advance(1_000)
  expect(stage.committed()).toBe(3n)
  expect(calls).toHaveLength(1)
})
