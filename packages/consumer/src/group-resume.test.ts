// A consumer that has no other desk and hears that it may go on.
import { expect, it } from 'vitest'
import { AppError } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { createStage } from '../docs/setup.ts'
import { keepResuming } from './group-resume.ts'

it('asks only while it is stopped, bears a desk that is away, and ends with its signal', async () => {
  const stage = await createStage()
  const { consumer } = await stage.start()
  const ending = new AbortController()
  const answers: (number | undefined | AppError)[] = [
    new AppError('PIPE_POSTGRES_UNAVAILABLE', 'no answer'),
    undefined,
    60_000,
    0
  ]
  let asked = 0
  const resumedAgoMs = async (): Promise<number | undefined> => {
    const answer = answers[asked++]
    if (answer instanceof AppError) throw answer
    return answer
  }
  const deps = { clock: stage.clock, log: createSilentLogger(), signal: ending.signal }
  const over = keepResuming(consumer, { group: 'g', resumedAgoMs, askEveryMs: 1_000 }, deps)
  await stage.advance(5_000)
  expect(asked).toBe(0)
  stage.append(0, ...Array.from({ length: 120 }, () => 'bad'))
  await stage.advance(3_900)
  expect([asked, consumer.stopped()?.limit]).toEqual([3, 'share'])
  await stage.advance(5_000)
  expect([asked, consumer.stopped(), stage.letters().length]).toEqual([4, undefined, 120])
  ending.abort()
  await over
  await consumer[Symbol.asyncDispose]()
})
