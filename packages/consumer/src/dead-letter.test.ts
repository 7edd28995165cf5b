import { expect, it } from 'vitest'
import fc from 'fast-check'
import { AppError, deadReasons } from '@millrace/kernel'
import type { KafkaRecord } from '@millrace/kafka'
import { parseLetter, toLetter, toStub } from './dead-letter.ts'

const failure = {
  group: 'load',
  stage: 'handle',
  reason: 'type',
  cause: new AppError('PIPE_CLICKHOUSE_REFUSED', 'no number', { details: { schemaId: 7 } }),
  attempts: 2,
  failedAtMs: 5_000,
  appVersion: '1.0.0'
} as const

function record(overrides: Partial<KafkaRecord> = {}): KafkaRecord {
  return {
    topic: 'events.a',
    partition: 2,
    offset: 9_007_199_254_740_993n,
    key: Buffer.from('k'),
    value: Buffer.from('v'),
    headers: {},
    appendedAtMs: 1_000,
    ...overrides
  }
}

/** A letter as it comes back from the log. */
function stored(letter: ReturnType<typeof toLetter>): KafkaRecord {
  const headers = Object.fromEntries(
    Object.entries(letter.headers ?? {}).map(([name, text]) => [name, Buffer.from(text)])
  )
  return record({ topic: 'redrive.load', partition: 0, offset: 4n, appendedAtMs: 9_000, headers })
}

it('reads back what was written', () => {
  const letter = stored(toLetter(record({ headers: { own: Buffer.from('x') } }), failure, false))
  expect(parseLetter(letter)).toEqual({
    id: 'load:events.a:2:9007199254740993',
    origin: { topic: 'events.a', partition: 2, offset: 9_007_199_254_740_993n, appendedAtMs: 1_000 },
    group: 'load',
    stage: 'handle',
    reason: 'type',
    code: 'PIPE_CLICKHOUSE_REFUSED',
    message: 'no number',
    attempts: 2,
    firstFailureAtMs: 5_000,
    lastFailureAtMs: 5_000,
    schemaId: '7',
    appVersion: '1.0.0',
    stub: false,
    headers: { own: Buffer.from('x') }
  })
})

it('leaves key and value as they are, whatever their bytes', () => {
  fc.assert(
    fc.property(fc.option(fc.uint8Array()), fc.option(fc.uint8Array()), (key, value) => {
      const original = record({ key: key && Buffer.from(key), value: value && Buffer.from(value) })
      const letter = toLetter(original, failure, false)
      expect([letter.key, letter.value]).toEqual([original.key, original.value])
    })
  )
})

it('keeps id, origin and first failure of a letter that failed again', () => {
  const first = stored(toLetter(record(), failure, false))
  const second = parseLetter(stored(toLetter(first, { ...failure, failedAtMs: 7_000, attempts: 1 }, true)))
  expect(second).toMatchObject({
    id: 'load:events.a:2:9007199254740993',
    origin: { topic: 'events.a', partition: 2, appendedAtMs: 1_000 },
    attempts: 3,
    firstFailureAtMs: 5_000,
    lastFailureAtMs: 7_000
  })
})

it('does not believe letter headers of a record that did not come through the redrive topic', () => {
  const forged = { 'dlq.id': Buffer.from('load:events.b:0:1'), 'dlq.topic': Buffer.from('events.b') }
  expect(toLetter(record({ headers: forged }), failure, false).headers).toMatchObject({
    'dlq.id': 'load:events.a:2:9007199254740993',
    'dlq.topic': 'events.a'
  })
})

it('keeps the headers of its own, not the bytes, in a stub', () => {
  const letter = toLetter(record({ headers: { own: Buffer.alloc(3_000) } }), failure, false)
  const stub = toStub(letter, 'MESSAGE_TOO_LARGE')
  expect([stub.key, stub.value, stub.headers?.['own']]).toEqual([null, null, undefined])
  expect(stub.headers).toMatchObject({ 'dlq.id': 'load:events.a:2:9007199254740993', 'dlq.stub': 'MESSAGE_TOO_LARGE' })
})

it('is not a letter when a header is missing or no number', () => {
  const whole = stored(toLetter(record(), failure, false)).headers
  const required = ['id', 'topic', 'partition', 'offset', 'append-time', 'group', 'stage', 'error-class', 'attempts']
  for (const name of [...required, 'first-failure', 'last-failure']) {
    expect([name, parseLetter({ headers: { ...whole, [`dlq.${name}`]: Buffer.from('') } })]).toEqual([name, undefined])
  }
  for (const name of ['partition', 'offset', 'append-time', 'attempts', 'error-class', 'stage'])
    expect([name, parseLetter({ headers: { ...whole, [`dlq.${name}`]: Buffer.from('-x') } })]).toEqual([
      name,
      undefined
    ])
})

it('knows every reason', () => {
  for (const reason of deadReasons)
    expect(parseLetter(stored(toLetter(record(), { ...failure, reason }, false)))?.reason).toBe(reason)
})
