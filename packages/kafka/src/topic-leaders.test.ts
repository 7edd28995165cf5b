// What is known is given at once; who is asked may never answer.
import { createManualClock } from '@millrace/kernel'
import { expect, test } from 'vitest'
import { createTopicLeaders } from './topic-leaders.ts'

type Answer = { topics: { name: string; partitions: { partitionId: number; leader: number }[] }[] }

function setup() {
  const clock = createManualClock()
  const questions: PromiseWithResolvers<Answer>[] = []
  const source = {
    fetchTopicMetadata: (): Promise<Answer> => {
      const question = Promise.withResolvers<Answer>()
      questions.push(question)
      return question.promise
    }
  }
  const leaders = createTopicLeaders(async () => source, clock)
  const answer = async (leader: number, at = questions.length - 1): Promise<void> => {
    questions[at]?.resolve({ topics: [{ name: 't', partitions: [{ partitionId: 0, leader }] }] })
    await clock.advance(0)
  }
  const known = async (): Promise<void> => {
    const first = leaders.leaders('t')
    await clock.advance(0)
    await answer(1)
    await first
  }
  return { clock, questions, leaders, answer, known }
}

test('what is old is given at once while it is asked for behind, once', async () => {
  const { clock, questions, leaders, answer, known } = setup()
  await known()
  await clock.advance(10_000)
  expect(await leaders.leaders('t')).toEqual(new Map([[0, 1]]))
  expect(await leaders.leaders('t')).toEqual(new Map([[0, 1]]))
  await clock.advance(0)
  expect(questions).toHaveLength(2)
  await answer(2)
  expect(await leaders.leaders('t')).toEqual(new Map([[0, 2]]))
  expect(clock.pending()).toBe(0)
})

test('a broker that never answers costs nobody who knows already, and another one is asked after a second', async () => {
  const { clock, questions, leaders, answer, known } = setup()
  await known()
  await clock.advance(10_000)
  await leaders.leaders('t')
  await clock.advance(1_000)
  expect(questions).toHaveLength(3)
  await answer(3, 2)
  expect(await leaders.leaders('t')).toEqual(new Map([[0, 3]]))
})

test('a renewal that fails keeps what is known and is tried again', async () => {
  const { clock, questions, leaders, known } = setup()
  await known()
  await clock.advance(10_000)
  await leaders.leaders('t')
  await clock.advance(0)
  questions[1]?.reject(new Error('down'))
  await clock.advance(0)
  expect(await leaders.leaders('t')).toEqual(new Map([[0, 1]]))
  await clock.advance(0)
  expect(questions).toHaveLength(3)
})

test('who asks for fresh leaders waits for them, at most five seconds', async () => {
  const { clock, leaders, known, answer } = setup()
  await known()
  const fresh = leaders.leaders('t', 0)
  await clock.advance(0)
  await answer(2)
  expect(await fresh).toEqual(new Map([[0, 2]]))
  const never = expect(leaders.leaders('t', 0)).rejects.toMatchObject({ code: 'PIPE_KAFKA_UNAVAILABLE' })
  await clock.advance(5_000)
  await never
  expect(clock.pending()).toBe(0)
})

test('a topic that is gone is forgotten', async () => {
  const { clock, questions, leaders, known } = setup()
  await known()
  const gone = expect(leaders.leaders('t', 0)).rejects.toMatchObject({ code: 'PIPE_TOPIC_MISSING' })
  await clock.advance(0)
  questions[1]?.resolve({ topics: [] })
  await gone
  const again = expect(leaders.leaders('t')).rejects.toMatchObject({ code: 'PIPE_TOPIC_MISSING' })
  await clock.advance(0)
  questions[2]?.resolve({ topics: [] })
  await again
})
