import { createRequire } from 'node:module'
import { createRandom } from '@millrace/testkit/random'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { installCodecs } from './codecs.ts'
import { useFastDecoding } from './kafkajs-decoding.ts'
import { useFastEncoding } from './kafkajs-shim.ts'

const require = createRequire(import.meta.url)

interface Source {
  readonly buffer: Buffer
  offset: number
}
type Decode = (source: Source) => Promise<Readonly<Record<string, unknown>>>

const decoderFile = 'kafkajs/src/protocol/recordBatch/v0/decoder.js'
const Decoder = require('kafkajs/src/protocol/decoder.js') as new (buffer: Buffer) => Source
const RecordBatch = (
  require('kafkajs/src/protocol/recordBatch/v0/index.js') as {
    RecordBatch: (options: object) => Promise<{ readonly buffer: Buffer }>
  }
).RecordBatch
const Record0 = require('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (record: object) => unknown

beforeAll(() => {
  installCodecs()
  useFastEncoding(false)
  useFastDecoding(false)
})
afterEach(() => useFastDecoding(false))

const decode = async (buffer: Buffer, fast: boolean): Promise<unknown> => {
  useFastDecoding(fast)
  const source = new Decoder(buffer)
  const decoded = await (require(decoderFile) as Decode)(source).catch((error: unknown) => String(error))
  return typeof decoded === 'string' ? decoded : { ...picked(decoded), at: source.offset }
}

/** What the client and we make of a batch, as far as anybody reads it. */
function picked(decoded: Readonly<Record<string, unknown>>): object {
  const records = (decoded['records'] as readonly Readonly<Record<string, unknown>>[]).map(
    ({ timestamp, offset, key, value, headers, isControlRecord, batchContext }) => {
      const { producerId, inTransaction } = batchContext as Record<string, unknown>
      const all = Object.entries(headers as object)
      return { timestamp, offset: String(offset), key, value, headers: all, isControlRecord, producerId, inTransaction }
    }
  )
  const { firstOffset, firstTimestamp, maxTimestamp } = decoded
  return { firstOffset, firstTimestamp, maxTimestamp, records }
}

describe('useFastDecoding', () => {
  it('reads what the client reads, over random batches and every codec', async () => {
    const random = createRandom('decoding')
    const bytes = (most: number) => Buffer.from(Array.from({ length: random.below(most) }, () => random.below(256)))
    for (let round = 0; round < 250; round++) {
      const far = random.chance(0.2)
      const records = Array.from({ length: random.below(round % 10 === 0 ? 200 : 12) }, (_, index) =>
        Record0({
          offsetDelta: index * (1 + random.below(far ? 100_000 : 2)),
          timestampDelta: random.pick([0, 1, 63, 64, 8_191, 8_192, far ? 90_000_000_000 : 5_000_000, -3]),
          key: random.chance(0.2) ? null : bytes(40),
          value: random.chance(0.1) ? null : bytes(random.chance(0.1) ? 20_000 : 300),
          headers: random.chance(0.6) ? {} : { a: bytes(9), [`h${round}`]: bytes(5), list: [bytes(3), bytes(2)] }
        })
      )
      const { buffer } = await RecordBatch({
        compression: random.pick([0, 1, 4]),
        firstOffset: random.pick(['0', '77', '9007199254740993']),
        firstTimestamp: 1_780_000_000_000 + random.below(1_000_000),
        maxTimestamp: 1_790_000_000_000,
        lastOffsetDelta: Math.max(0, records.length - 1),
        producerId: random.pick([-1, 12]),
        records
      })
      // By append time, as brokers mark batches of our topics.
      if (random.chance(0.5)) buffer[22] = (buffer[22] ?? 0) | 0x8
      const more = Buffer.concat([buffer, bytes(30)])
      expect(await decode(more, true), `round ${round}`).toEqual(await decode(more, false))
    }
  })

  it('leaves half a batch, transactions and markers to the client', async () => {
    const records = [Record0({ key: Buffer.from('k'), value: Buffer.from('v'), headers: {} })]
    const whole = (await RecordBatch({ firstTimestamp: 1, maxTimestamp: 2, records })).buffer
    const half = whole.subarray(0, whole.length - 1)
    expect(await decode(half, true)).toContain('partial record batch')
    for (const mark of [0x10, 0x20, 0x30]) {
      const marked = Buffer.from(whole)
      marked[22] = mark
      const decoded = await decode(marked, true)
      expect(decoded).toEqual(await decode(marked, false))
      expect(decoded).toMatchObject({ records: [{ inTransaction: (mark & 0x10) > 0, isControlRecord: mark >= 0x20 }] })
    }
  })

  it('refuses a record that ends behind its batch', async () => {
    const records = [Record0({ key: null, value: Buffer.from('v'), headers: {} })]
    const { buffer } = await RecordBatch({ firstTimestamp: 1, maxTimestamp: 2, records })
    buffer[61] = 0x7e
    expect(await decode(buffer, true)).toContain('RangeError')
  })
})
