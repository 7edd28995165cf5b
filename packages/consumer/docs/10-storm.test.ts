// Chapter 10: too many letters at once.
//
// One bad record in a thousand is bad data. A hundred in a minute, or one in a hundred, is a bad deployment: the consumer
// stops before it writes those letters, keeps its partitions and its place, says so in /health and in a series, and waits.
// A version that can take the records gets them again; or somebody looks, and lets it go on.
import { expect, it } from 'vitest'
import { AppError, done } from '@millrace/kernel'
import { createStage, settle } from './setup.ts'
import type { Worker } from './setup.ts'

const policy = { maxRows: 200, maxBytes: 1_000_000, maxAgeMs: 100, scope: 'lane' } as const
const bad = (count: number): string[] => Array.from({ length: count }, (_, at) => `bad${at}`)
const good = (count: number): string[] => Array.from({ length: count }, (_, at) => `g${at}`)

it('stops before the letters that are too many, holds its place, and says so', async () => {
  const stage = await createStage()
  const { consumer } = await stage.start(undefined, { policy })
  stage.append(0, ...bad(40))
  await stage.advance(100)
  expect([stage.letters().length, stage.committed(), consumer.ready()]).toEqual([40, 40n, true])
  stage.append(0, ...bad(61))
  await stage.advance(60_000)
  expect([stage.letters().length, stage.committed()]).toEqual([40, 40n])
  expect([consumer.ready(), consumer.live()]).toEqual([false, true])
  expect(consumer.stopped()).toMatchObject({ letters: 101, records: 101, limit: 'perMinute' })
  await expect(consumer.checks.letters.run()).rejects.toMatchObject({ code: 'PIPE_LETTER_STORM' })
  expect(await stage.metric('analytics_consumer_stopped', { group: 'g' })).toBe(1)
})

it('stops when more than one record in a hundred is dead, from fifty on', async () => {
  const stage = await createStage()
  const { consumer } = await stage.start(undefined, { policy })
  stage.append(0, ...good(1_000), ...bad(49))
  await stage.advance(1_000)
  expect(consumer.stopped()).toBeUndefined()
  stage.append(0, ...bad(1))
  await stage.advance(1_000)
  expect(consumer.stopped()).toMatchObject({ letters: 50, limit: 'share' })
})

it('takes nothing more while it is stopped, of no partition, and goes on where it was when it is told to', async () => {
  const stage = await createStage(2)
  const { consumer, texts } = await stage.start(undefined, { policy })
  stage.append(0, ...bad(120))
  await stage.advance(100)
  stage.append(1, 'x')
  await stage.advance(10_000)
  expect([texts(), stage.committed(1)]).toEqual([[], undefined])
  consumer.resume()
  await stage.advance(200)
  expect([stage.letters().length, stage.committed(0), stage.committed(1)]).toEqual([120, 120n, 1n])
  expect([consumer.stopped(), consumer.ready()]).toEqual([undefined, true])
  expect(await stage.metric('analytics_consumer_stopped', { group: 'g' })).toBe(0)
  // Whoever let it go on knows of what comes within a minute; then it counts anew.
  stage.append(0, ...bad(300))
  await stage.advance(50_000)
  expect([stage.letters().length, consumer.stopped()]).toEqual([420, undefined])
  await stage.advance(10_000)
  stage.append(0, ...bad(101))
  await stage.advance(1_000)
  expect([stage.letters().length, consumer.stopped()?.limit]).toEqual([420, 'perMinute'])
})

it('stops for what a store refuses, too; nothing of it is dead, and the next version takes all of it', async () => {
  const stage = await createStage()
  const refusing: Worker = () => {
    throw new AppError('PIPE_CLICKHOUSE_REFUSED', 'no such column')
  }
  const { consumer } = await stage.start(refusing, { policy })
  stage.append(0, ...good(150))
  await stage.advance(500)
  expect([consumer.stopped()?.limit, stage.letters(), stage.committed()]).toEqual(['perMinute', [], undefined])
  await Promise.all([consumer[Symbol.asyncDispose](), stage.advance(100)])
  const next = await stage.start(undefined, { policy })
  await stage.advance(500)
  expect([next.texts().flat().length, stage.letters(), stage.committed()]).toEqual([150, [], 150n])
})

it('has effects that are on their way when it stops, and commits them', async () => {
  const stage = await createStage(2)
  const gate = Promise.withResolvers<void>()
  const { consumer } = await stage.start(
    async ({ batch }) => {
      await gate.promise
      return batch.items.map(() => done)
    },
    { policy }
  )
  stage.append(1, ...good(200))
  await settle()
  stage.append(0, ...bad(120))
  await stage.advance(100)
  expect(consumer.stopped()).toBeDefined()
  gate.resolve()
  await settle()
  expect([stage.committed(0), stage.committed(1)]).toEqual([undefined, 200n])
})

it('leaves at once when it is told to stop while it is stopped', async () => {
  const stage = await createStage()
  const { consumer } = await stage.start(undefined, { policy })
  stage.append(0, ...bad(120))
  await stage.advance(100)
  let left = false
  void consumer[Symbol.asyncDispose]().then(() => {
    left = true
  })
  await stage.advance(100)
  expect(left).toBe(true)
})

it('does nothing when it is off', async () => {
  const stage = await createStage()
  const storm = { perMinute: 0, share: 0, leastLetters: 0 }
  await stage.start(undefined, { policy, settings: { storm } })
  stage.append(0, ...bad(500))
  await stage.advance(1_000)
  expect([stage.letters().length, stage.committed()]).toEqual([500, 500n])
})

it('is not stopped by letters that are sent once more and fail again', async () => {
  const stage = await createStage()
  const { consumer } = await stage.start(undefined, { policy })
  stage.append(0, ...bad(40))
  await stage.advance(100)
  const letters = stage.cluster.records('events.dlq.a').map(({ key, value, headers }) => ({ key, value, headers }))
  for (let time = 0; time < 4; time++)
    await stage.cluster.producer.produce(
      'redrive.g',
      letters.map((letter) => ({ partition: 0, ...letter }))
    )
  await stage.advance(1_000)
  expect([stage.letters().length, stage.committed(0, 'redrive.g'), consumer.stopped()]).toEqual([200, 160n, undefined])
})
