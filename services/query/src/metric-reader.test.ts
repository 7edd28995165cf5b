import { expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { sessionQuery } from '@millrace/serving/warehouse-query'
import type { Made, Question } from './cache/answers.ts'
import { cacheKeyOf } from './cache/cache-key.ts'
import { createMetricReader } from './metric-reader.ts'

const hour = 3_600_000
const now = Date.UTC(2026, 0, 31, 10)
const options = { form: 'json', priority: 'normal', use: 'cache', allowStale: true, timeoutMs: undefined } as const
const caller = { note: {}, projectId: 'shop', deadlineMs: 10_000, signal: new AbortController().signal }
const body = Buffer.from('{"meta":[],"data":[],"rows":0,"statistics":{"elapsed":0,"rows_read":0,"bytes_read":0}}')

/** A reader whose answers are `ages` old, one after the other. */
function setup(ages: readonly number[] = [0]) {
  const made: Made[] = []
  const left = [...ages]
  const reader = createMetricReader(
    {
      windows: { read: () => Promise.reject(new AppError('PIPE_REDIS_UNAVAILABLE', 'away')) },
      answers: {
        ask: async (question: Question, signal) => {
          const answer = await question.make(signal, 'normal')
          made.push(answer)
          return { ...answer, use: 'HIT', ageMs: left.shift() ?? 0 }
        }
      },
      engine: {
        ask: async () => ({ body, lease: undefined, work: undefined }),
        stream: () => Promise.reject(new Error('no stream'))
      },
      keyOf: cacheKeyOf,
      schemaVersion: () => 'v1',
      definitionsOf: async () => [],
      daysOf: async () => [],
      conversionTypes: [],
      latenessMs: 0,
      clock: createManualClock(now)
    },
    caller,
    options,
    () => {}
  )
  return { reader, made }
}

it('rows of the warehouse are as old as the oldest answer that they are from', async () => {
  const { reader } = setup([1_000, 30_000, 0])
  expect(reader.rowsAgeMs?.()).toBe(0)
  for (const age of [1_000, 30_000, 30_000]) {
    await reader.clickhouse.rows('SELECT 1', { to: now })
    expect(reader.rowsAgeMs?.()).toBe(age)
  }
})

it('rows are kept longer when their time is over, that of sessions when the longest may be', async () => {
  const { reader, made } = setup()
  const span = (toMs: number) => ({ project: 'shop', fromMs: 0, toMs, lengthMs: hour })
  const ask = async (params: Readonly<Record<string, unknown>>) => {
    await reader.clickhouse.rows('SELECT 1', params)
    return made.at(-1)?.kept
  }
  expect([await ask({ to: now - hour }), await ask({ to: now - hour + 1 })]).toEqual(['closed', 'open'])
  expect(await ask(sessionQuery('bounce_rate', span(now - 2 * hour), []).params)).toBe('open')
  expect(await ask(sessionQuery('bounce_rate', span(now - 25 * hour), []).params)).toBe('closed')
})
