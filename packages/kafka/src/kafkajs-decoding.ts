// Record batches read without a decoder, a 64-bit object and several texts for each record, as the client does it. What
// comes out is what the client makes of the same bytes, except that offsets are bigint, which it takes as well as texts; a
// test holds both against each other. Transactions are left to the client.
// Record batch format: https://kafka.apache.org/documentation/#recordbatch
import { createRequire } from 'node:module'
import { breathe } from '@millrace/kernel'

/** Where the client stands in a fetched set of batches. */
interface Source {
  readonly buffer: Buffer
  offset: number
}

/** What the client keeps of a batch with each of its records. */
interface BatchContext {
  readonly firstOffset: string
  readonly firstTimestamp: string
  readonly maxTimestamp: string
  readonly producerId: string
  readonly inTransaction: boolean
  readonly isControlBatch: boolean
}

/** A record as the client hands it on. */
interface Message {
  readonly attributes: number
  readonly timestamp: string
  readonly offset: bigint
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Headers
  readonly isControlRecord: boolean
  readonly batchContext: BatchContext
}

type Headers = Readonly<Record<string, Buffer | null | readonly (Buffer | null)[]>>

interface Decoded extends BatchContext {
  readonly records: readonly Message[]
}

type Decode = (source: Source) => Promise<Decoded>

interface Compression {
  lookupCodecByAttributes(attributes: number): { decompress(buffer: Buffer): Promise<Buffer> } | null
}

const require = createRequire(import.meta.url)
const decoderFile = 'kafkajs/src/protocol/recordBatch/v0/decoder.js'
const chosen: { decode: Decode | undefined; own: Decode | undefined } = { decode: undefined, own: undefined }

/**
 * Switches the decoding of this process; its consumers all use it. Off, the client decodes by itself, as it does when it
 * has fetched something before this is called for the first time.
 */
export function useFastDecoding(on: boolean): void {
  chosen.own ??= replaceDecoder()
  const { own } = chosen
  // The shape is that of the client's file (kafkajs-encoding.ts has its fingerprint).
  const { lookupCodecByAttributes } = require('kafkajs/src/protocol/message/compression/index.js') as Compression
  chosen.decode = on ? (source) => decodeBatch(source, own, lookupCodecByAttributes) : undefined
}

/** Puts a choice in the place of the client's module, which is read when the first reply is. Returns the client's own. */
function replaceDecoder(): Decode {
  const path = require.resolve(decoderFile)
  const own = require(path) as Decode
  const loaded = require.cache[path]
  if (loaded !== undefined) loaded.exports = (source: Source) => (chosen.decode ?? own)(source)
  return own
}

const appendTime = 0x8
const transactionOrControl = 0x30
const headLength = 61
/** Of what the length of a batch does not count. */
const beforeLength = 12

async function decodeBatch(
  source: Source,
  own: Decode,
  lookupCodec: Compression['lookupCodecByAttributes']
): Promise<Decoded> {
  const { buffer, offset: start } = source
  const end = start + beforeLength + buffer.readInt32BE(start + 8)
  const attributes = end < start + headLength || end > buffer.length ? 0 : buffer.readInt16BE(start + 21)
  // The client says what it says of half a batch.
  if (end < start + headLength || end > buffer.length || (attributes & transactionOrControl) !== 0) {
    return await own(source)
  }
  source.offset = end
  const context: BatchContext = {
    firstOffset: String(buffer.readBigInt64BE(start)),
    firstTimestamp: String(buffer.readBigInt64BE(start + 27)),
    maxTimestamp: String(buffer.readBigInt64BE(start + 35)),
    producerId: String(buffer.readBigInt64BE(start + 43)),
    inTransaction: false,
    isControlBatch: false
  }
  const count = buffer.readInt32BE(start + 57)
  // A fetch brings thousands of records, and the client reads all of its batches in one turn.
  await breathe()
  const codec = lookupCodec(attributes)
  const packed = buffer.subarray(start + headLength, end)
  const data = codec === null || count <= 0 ? packed : await codec.decompress(packed)
  return { ...context, records: decodeRecords(data, count, context, (attributes & appendTime) !== 0) }
}

/** `at` of one pass over the records; the varint readers move it. */
interface Cursor {
  readonly data: Buffer
  at: number
}

function decodeRecords(data: Buffer, count: number, context: BatchContext, appended: boolean): readonly Message[] {
  const records: Message[] = []
  const cursor: Cursor = { data, at: 0 }
  const first = BigInt(context.firstOffset)
  const firstMs = Number(context.firstTimestamp)
  for (let index = 0; index < count; index++) {
    const end = readVarint(cursor) + cursor.at
    if (!(end <= data.length)) throw new RangeError('a record ends behind its batch')
    const attributes = data.readInt8(cursor.at++)
    const timestampDelta = readVarlong(cursor)
    const offsetDelta = readVarint(cursor)
    records.push({
      attributes,
      timestamp: appended ? context.maxTimestamp : String(firstMs + timestampDelta),
      offset: first + BigInt(offsetDelta),
      key: readBytes(cursor),
      value: readBytes(cursor),
      headers: readHeaders(cursor),
      isControlRecord: false,
      batchContext: context
    })
    cursor.at = end
  }
  return records
}

/** Most records have none. */
const noHeaders: Headers = Object.freeze({})

function readHeaders(cursor: Cursor): Headers {
  const count = readVarint(cursor)
  if (count <= 0) return noHeaders
  const headers = Object.create(null) as Record<string, Buffer | null | readonly (Buffer | null)[]>
  for (let index = 0; index < count; index++) {
    const name = String(readBytes(cursor))
    const value = readBytes(cursor)
    const before = headers[name]
    if (before === undefined) headers[name] = value
    else headers[name] = isList(before) ? [...before, value] : [before, value]
  }
  return headers
}

function isList(value: Buffer | null | readonly (Buffer | null)[]): value is readonly (Buffer | null)[] {
  return Array.isArray(value)
}

/** A length of -1 stands for null. */
function readBytes(cursor: Cursor): Buffer | null {
  const length = readVarint(cursor)
  if (length < 0) return null
  const { data, at } = cursor
  cursor.at = at + length
  return data.subarray(at, at + length)
}

/** A zigzag-encoded number of 32 bits. */
function readVarint(cursor: Cursor): number {
  const { data } = cursor
  let byte = data[cursor.at++] ?? 0
  if (byte < 128) return (byte >>> 1) ^ -(byte & 1)
  let value = byte & 127
  for (let shift = 7; byte >= 128 && shift < 35; shift += 7) {
    byte = data[cursor.at++] ?? 0
    value |= (byte & 127) << shift
  }
  return (value >>> 1) ^ -(value & 1)
}

/** The same of 64 bits, as a number: differences of times are far below 2^53. */
function readVarlong(cursor: Cursor): number {
  const start = cursor.at
  let value = 0n
  let byte = 128
  for (let shift = 0; byte >= 128 && shift < 70; shift += 7) {
    byte = cursor.data[cursor.at++] ?? 0
    if (byte < 128 && shift < 28) {
      cursor.at = start
      return readVarint(cursor)
    }
    value |= BigInt(byte & 127) << BigInt(shift)
  }
  return Number(BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n)))
}
