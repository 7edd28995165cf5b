// The meaning of every error that the client can raise.
import { createRequire } from 'node:module'
import { AppError } from '@millrace/kernel'
import type { ErrorCode } from '@millrace/kernel'
import kafkajs from 'kafkajs'
import { expect, test } from 'vitest'
import { classifyCode, classifyKafka, layersOf, protocolErrors, toAppError } from './kafkajs-errors.ts'

const require = createRequire(import.meta.url)
const { KafkaJSConnectionClosedError } = require('kafkajs/src/errors.js') as {
  KafkaJSConnectionClosedError: new (message: string, options: { host: string; port: number }) => Error
}
const { errorCodes, createErrorFromCode } = require('kafkajs/src/protocol/error.js') as {
  errorCodes: readonly { type: string; code: number }[]
  createErrorFromCode: (code: number) => Error
}

test('the table names protocol errors as the client does', () => {
  const theirs = new Map(errorCodes.map(({ code, type }) => [code, type]))
  const wrong = [...protocolErrors].filter(([code, [type]]) => theirs.has(code) && theirs.get(code) !== type)
  expect(wrong).toEqual([])
})

test('every protocol error of the client has a meaning', () => {
  for (const { code } of errorCodes) {
    const { kind, code: name } = classifyKafka(createErrorFromCode(code))
    expect(['unavailable', 'fenced', 'missing', 'refused', 'fatal']).toContain(kind)
    expect(name.length).toBeGreaterThan(0)
  }
})

test.each([
  [10, 'refused', false],
  [18, 'refused', false],
  [29, 'refused', false],
  [87, 'refused', false],
  [3, 'missing', false],
  [6, 'unavailable', false],
  [19, 'unavailable', false],
  [20, 'unavailable', true],
  [7, 'unavailable', true],
  [22, 'fenced', false],
  [25, 'fenced', false],
  [27, 'fenced', false],
  [9_999, 'unavailable', true]
])('error %i of a reply is %s, maybe stored: %s', (code, kind, maybeStored) => {
  expect(classifyCode(code)).toMatchObject({ kind, maybeStored })
})

test('a retry counter is looked through to what was retried', () => {
  const inner = createErrorFromCode(25)
  const outer = new kafkajs.KafkaJSNumberOfRetriesExceeded(inner, {
    retryCount: 5,
    retryTime: 1,
    cause: inner
  } as never)
  expect(classifyKafka(outer)).toEqual({ kind: 'fenced', code: 'UNKNOWN_MEMBER_ID', maybeStored: false })
  expect(layersOf(outer)).toEqual([outer, inner])
})

test('a refused connection was never sent, a cut or silent one may have been', () => {
  const refused = new kafkajs.KafkaJSConnectionError('x', { broker: 'b', code: 'ECONNREFUSED' })
  const reset = new kafkajs.KafkaJSConnectionError('x', { broker: 'b', code: 'ECONNRESET' })
  const closed = new KafkaJSConnectionClosedError('x', { host: 'h', port: 1 })
  expect(classifyKafka(refused)).toEqual({ kind: 'unavailable', code: 'ECONNREFUSED', maybeStored: false })
  expect(classifyKafka(reset)).toEqual({ kind: 'unavailable', code: 'ECONNRESET', maybeStored: true })
  expect(classifyKafka(closed)).toMatchObject({ kind: 'unavailable', maybeStored: true })
})

test('what no table knows is fatal, and never a promise that nothing was stored', () => {
  for (const thrown of [new TypeError('x'), 'text', undefined, null, {}, new Error('MESSAGE_TOO_LARGE')]) {
    expect(classifyKafka(thrown)).toMatchObject({ kind: 'fatal', maybeStored: true })
  }
})

test('errors become ours with the foreign code in the details', () => {
  const code = (error: unknown) => toAppError(error, 'testing').code
  expect([14, 3, 27, 10, 24].map((number) => code(createErrorFromCode(number)))).toEqual([
    'PIPE_KAFKA_UNAVAILABLE',
    'PIPE_TOPIC_MISSING',
    'PIPE_CONFLICT',
    'PIPE_KAFKA_REFUSED',
    'PIPE_KAFKA_FATAL'
  ])
  const own = new AppError('PIPE_DEADLINE', 'x')
  expect(toAppError(own, 'testing')).toBe(own)
  expect(toAppError(createErrorFromCode(14), 'testing').details).toEqual({ kafka: 'GROUP_LOAD_IN_PROGRESS' })
})

test('errors of ours keep their meaning', () => {
  const meaning = (code: ErrorCode) => classifyKafka(new AppError(code, 'x')).kind
  expect((['PIPE_KAFKA_UNAVAILABLE', 'PIPE_TOPIC_MISSING', 'PIPE_KAFKA_FATAL'] as const).map(meaning)).toEqual([
    'unavailable',
    'missing',
    'fatal'
  ])
})
