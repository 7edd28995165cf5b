// Outcomes of records over a stub transport: what is acked, refused, tried again and left in doubt.
import { createManualClock } from '@millrace/kernel'
import type { ManualClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import kafkajs from 'kafkajs'
import { expect, test } from 'vitest'
import type { ProduceOutcome, ProduceRecord } from './port.ts'
import { deliver } from './produce-delivery.ts'
import type { ProduceTransport } from './produce-delivery.ts'
import type { ReplyLine } from './produce-reply.ts'

const record = (partition: number, value = 'v'): ProduceRecord => ({ partition, key: null, value: Buffer.from(value) })
const line = (partition: number, baseOffset: string, errorCode = 0): ReplyLine => ({
  topicName: 't',
  partition,
  errorCode,
  baseOffset,
  logAppendTime: '1000'
})
const acked = (offset: bigint): ProduceOutcome => ({ kind: 'acked', offset, appendedAtMs: 1_000 })
const connection = (code: string) => new kafkajs.KafkaJSConnectionError('x', { broker: 'b', code })
const protocolError = (type: string, fields: object) => Object.assign(new Error(type), { type, ...fields })

interface Run {
  readonly sent: (readonly ProduceRecord[])[]
  readonly outcomes: readonly ProduceOutcome[]
  readonly waitedMs: number
}

/** Delivers over a transport that answers each request by `answer`; partitions 0-1 on leader 1, 2-3 on leader 2. */
async function run(
  records: readonly ProduceRecord[],
  answer: (request: readonly ProduceRecord[], attempt: number) => readonly ReplyLine[] | Promise<readonly ReplyLine[]>,
  options: { maxRecordsPerPartition?: number; leaders?: ProduceTransport['leaders'] } = {}
): Promise<Run> {
  const clock = createManualClock()
  const sent: (readonly ProduceRecord[])[] = []
  const known = new Map([
    [0, 1],
    [1, 1],
    [2, 2],
    [3, 2]
  ])
  const transport: ProduceTransport = {
    send: async (_topic, request) => {
      sent.push(request)
      return await answer(request, sent.length)
    },
    leaders: options.leaders ?? (async () => known)
  }
  const { maxRecordsPerPartition = 1_000 } = options
  const log = createSilentLogger()
  const delivery = deliver('t', records, { transport, clock, log, ackTimeoutMs: 10_000, maxRecordsPerPartition })
  const outcomes = await whileTimePasses(clock, delivery)
  return { sent, outcomes, waitedMs: clock.monotonic() }
}

async function whileTimePasses<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  let result: { value: T } | undefined
  void work.then((value) => {
    result = { value }
  })
  for (let step = 0; step < 400 && result === undefined; step++) await clock.advance(result === undefined ? 50 : 0)
  if (result === undefined) throw new Error('no outcome')
  return result.value
}

test('one request per leader, offsets counted up from each base offset', async () => {
  const { sent, outcomes } = await run([record(0), record(2), record(0), record(1), record(2)], (request) =>
    request[0]?.partition === 2 ? [line(2, '50')] : [line(0, '7'), line(1, '0')]
  )
  expect(sent.map((request) => request.map(({ partition }) => partition))).toEqual([
    [0, 0, 1],
    [2, 2]
  ])
  expect(outcomes).toEqual([acked(7n), acked(50n), acked(8n), acked(0n), acked(51n)])
})

test('a send that resolves without one of its partitions leaves that partition unknown', async () => {
  const { sent, outcomes } = await run([record(0), record(1)], () => [line(1, '3')])
  expect(outcomes.map(({ kind }) => kind)).toEqual(['unknown', 'acked'])
  expect(outcomes[0]).not.toHaveProperty('notStored')
  expect(sent.length).toBe(1)
})

test.each([
  ['twice', [line(0, '1'), line(0, '2')]],
  ['without an offset', [line(0, '-1')]],
  ['of another topic', [{ ...line(0, '1'), topicName: 'other' }]]
])('a reply that holds the partition %s is unknown', async (_how, reply) => {
  const { outcomes } = await run([record(0)], () => reply)
  expect(outcomes.map(({ kind }) => kind)).toEqual(['unknown'])
})

test('a record that is too large is refused alone, after halving, and its neighbours are stored', async () => {
  let offset = 0n
  const { outcomes } = await run([record(0, 'a'), record(0, 'b'), record(0, 'LARGE'), record(0, 'd')], (request) => {
    if (request.some(({ value }) => value?.toString() === 'LARGE')) return [line(0, '-1', 10)]
    offset += BigInt(request.length)
    return [line(0, String(offset - BigInt(request.length)))]
  })
  expect(outcomes.map(({ kind }) => kind)).toEqual(['acked', 'acked', 'refused', 'acked'])
  expect(outcomes[2]).toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
})

test('an error that carries the reply is read per partition: stored ones are not sent again', async () => {
  const reply = [{ topicName: 't', partitions: [line(0, '5'), line(1, '-1', 10)] }]
  const { sent, outcomes } = await run([record(0), record(1)], () => {
    throw protocolError('MESSAGE_TOO_LARGE', { reply })
  })
  expect(outcomes[0]).toEqual(acked(5n))
  expect(outcomes[1]).toMatchObject({ kind: 'refused', code: 'MESSAGE_TOO_LARGE' })
  expect(sent.length).toBe(1)
})

test('what was certainly not stored is tried again until it is', async () => {
  const { sent, outcomes } = await run([record(0)], (_request, attempt) => {
    if (attempt < 3) throw connection('ECONNREFUSED')
    return [line(0, '0')]
  })
  expect(outcomes).toEqual([acked(0n)])
  expect(sent.length).toBe(3)
})

test('a broker that never takes a connection ends as unknown, certainly not stored, within the deadline', async () => {
  const { outcomes, waitedMs } = await run([record(0)], () => {
    throw connection('ECONNREFUSED')
  })
  expect(outcomes).toEqual([{ kind: 'unknown', message: 'not acknowledged: ECONNREFUSED', notStored: true }])
  expect(waitedMs).toBeLessThanOrEqual(10_050)
})

test('a refusal after an attempt in doubt is unknown', async () => {
  const { outcomes } = await run([record(0)], (_request, attempt) => {
    if (attempt === 1) throw connection('ECONNRESET')
    return [line(0, '-1', 10)]
  })
  expect(outcomes[0]).toMatchObject({ kind: 'unknown' })
  expect(outcomes[0]).not.toHaveProperty('notStored')
})

test('a refusal after an attempt that certainly stored nothing is refused', async () => {
  const { outcomes } = await run([record(0)], (_request, attempt) => [line(0, '-1', attempt === 1 ? 6 : 10)])
  expect(outcomes[0]).toMatchObject({ kind: 'refused', code: 'MESSAGE_TOO_LARGE' })
})

test('a request without an answer is unknown at the deadline', async () => {
  const { outcomes, waitedMs } = await run([record(0), record(2)], (request) =>
    request[0]?.partition === 2 ? [line(2, '1')] : new Promise(() => undefined)
  )
  expect(outcomes.map(({ kind }) => kind)).toEqual(['unknown', 'acked'])
  expect(outcomes[0]).not.toHaveProperty('notStored')
  expect(waitedMs).toBeLessThanOrEqual(10_050)
})

test('a request holds at most the allowed number of records of a partition, in order', async () => {
  const { sent, outcomes } = await run(
    Array.from({ length: 5 }, () => record(0)),
    (_request, attempt) => [line(0, String((attempt - 1) * 2))],
    { maxRecordsPerPartition: 2 }
  )
  expect(sent.map(({ length }) => length)).toEqual([2, 2, 1])
  expect(outcomes).toEqual([0n, 1n, 2n, 3n, 4n].map(acked))
})

test('a partition that fresh metadata does not know is refused without being sent', async () => {
  const asked: (number | undefined)[] = []
  const { sent, outcomes } = await run([record(9)], () => [], {
    leaders: async (_topic, maxAgeMs) => {
      asked.push(maxAgeMs)
      return new Map([[0, 1]])
    }
  })
  expect(outcomes[0]).toMatchObject({ kind: 'refused', code: 'UNKNOWN_PARTITION' })
  expect([sent.length, asked]).toEqual([0, [undefined, 0]])
})

test('no records are no request', async () => {
  expect(await run([], () => [])).toMatchObject({ sent: [], outcomes: [] })
})
