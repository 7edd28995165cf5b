// Record batches in one buffer, for a client that makes an encoder per record, doubles their buffers as they grow and
// computes checksums in JavaScript. The patched client asks for it (patches/kafkajs@2.2.4.patch); the bytes are the same,
// which a test holds against the client's own encoding.
// Record batch format: https://kafka.apache.org/documentation/#recordbatch
import { createRequire } from 'node:module'
import { crc32c } from '@node-rs/crc32'

/** What the client hands over for one batch; numbers may be texts or objects that print as a 64-bit integer. */
interface BatchOptions {
  readonly compression?: number
  readonly firstOffset?: Printable
  readonly firstTimestamp?: Printable
  readonly maxTimestamp?: Printable
  readonly partitionLeaderEpoch?: number
  readonly lastOffsetDelta?: number
  readonly transactional?: boolean
  readonly producerId?: Printable
  readonly producerEpoch?: number
  readonly firstSequence?: number
  readonly records?: readonly BatchRecord[]
}

interface Printable {
  toString(): string
}

interface BatchRecord {
  readonly offsetDelta?: number
  readonly timestampDelta?: number
  readonly key?: Content
  readonly value?: Content
  readonly headers?: Readonly<Record<string, Content | readonly Content[]>>
}

type Content = Buffer | string | null | undefined

/** What the client takes for an encoder that has written. */
interface Encoded {
  readonly buf: Buffer
  readonly buffer: Buffer
  size(): number
}

interface Encoding {
  encodeBatch: ((options: BatchOptions) => Promise<Encoded>) | undefined
}

interface Compression {
  lookupCodec(type: number): { compress(encoder: { readonly buffer: Buffer }): Promise<Buffer> }
}

const require = createRequire(import.meta.url)
const headLength = 61

/** Switches the encoding of this process; its producers all use it. Off, the client encodes by itself. */
export function useFastEncoding(on: boolean): void {
  // The shape is that of the patch.
  const encoding = require('kafkajs/src/encoding.js') as Encoding
  const { lookupCodec } = require('kafkajs/src/protocol/message/compression/index.js') as Compression
  encoding.encodeBatch = on ? (options) => encodeBatch(options, lookupCodec) : undefined
}

async function encodeBatch(options: BatchOptions, lookupCodec: Compression['lookupCodec']): Promise<Encoded> {
  const { records = [], compression = 0 } = options
  const encoded = encodeRecords(records)
  if (compression === 0) return finish(encoded, options)
  const packed = await lookupCodec(compression).compress({ buffer: encoded.subarray(headLength) })
  const batch = Buffer.allocUnsafe(headLength + packed.length)
  batch.set(packed, headLength)
  return finish(batch, options)
}

/** The records behind room for the head. */
function encodeRecords(records: readonly BatchRecord[]): Buffer {
  const parts = records.map(toParts)
  let size = headLength
  for (const { length } of parts) size += varintLength(length) + length
  const buffer = Buffer.allocUnsafe(size)
  let at = headLength
  for (const { length, timestampDelta, offsetDelta, key, value, headers } of parts) {
    at = writeVarint(buffer, at, length)
    buffer[at++] = 0
    at = writeVarlong(buffer, at, timestampDelta)
    at = writeVarint(buffer, at, offsetDelta)
    at = writeBytes(buffer, at, key)
    at = writeBytes(buffer, at, value)
    at = writeVarint(buffer, at, headers.length / 2)
    for (const part of headers) at = writeBytes(buffer, at, part)
  }
  return buffer
}

interface Parts {
  readonly length: number
  readonly timestampDelta: number
  readonly offsetDelta: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** Names and values in turn. */
  readonly headers: readonly (Buffer | null)[]
}

const noHeaders: readonly Buffer[] = []

function toParts({ timestampDelta = 0, offsetDelta = 0, ...record }: BatchRecord): Parts {
  const key = toBuffer(record.key)
  const value = toBuffer(record.value)
  const headers = record.headers === undefined ? noHeaders : toHeaders(record.headers)
  let length = 1 + varlongLength(timestampDelta) + varintLength(offsetDelta) + bytesLength(key) + bytesLength(value)
  length += varintLength(headers.length / 2)
  for (const part of headers) length += bytesLength(part)
  return { length, timestampDelta, offsetDelta, key, value, headers }
}

function toHeaders(headers: Readonly<Record<string, Content | readonly Content[]>>): readonly (Buffer | null)[] {
  const parts: (Buffer | null)[] = []
  for (const [name, content] of Object.entries(headers)) {
    const values: readonly Content[] = isList(content) ? content : [content]
    for (const value of values) parts.push(nameOf(name), toBuffer(value))
  }
  return parts
}

/** Every record of a topic has headers of the same names; who makes names up of data gains nothing and takes no more. */
const names = new Map<string, Buffer>()
const mostNames = 1_000

function nameOf(name: string): Buffer {
  const known = names.get(name)
  if (known !== undefined) return known
  const made = Buffer.from(name)
  if (names.size < mostNames) names.set(name, made)
  return made
}

function isList(content: Content | readonly Content[]): content is readonly Content[] {
  return Array.isArray(content)
}

function toBuffer(content: Content): Buffer | null {
  if (content === null || content === undefined) return null
  return typeof content === 'string' ? Buffer.from(content) : content
}

/** Writes the head in front of the records, which fill the buffer up to its end. */
function finish(batch: Buffer, options: BatchOptions): Encoded {
  const { compression = 0, transactional = false, partitionLeaderEpoch = 0, lastOffsetDelta = 0 } = options
  const { producerEpoch = 0, firstSequence = 0, records = [] } = options
  batch.writeBigInt64BE(toInt64(options.firstOffset ?? 0), 0)
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt32BE(partitionLeaderEpoch, 12)
  batch[16] = 2
  batch.writeInt16BE((compression & 7) | (transactional ? 16 : 0), 21)
  batch.writeInt32BE(lastOffsetDelta, 23)
  batch.writeBigInt64BE(toInt64(options.firstTimestamp ?? 0), 27)
  batch.writeBigInt64BE(toInt64(options.maxTimestamp ?? 0), 35)
  batch.writeBigInt64BE(toInt64(options.producerId ?? -1), 43)
  batch.writeInt16BE(producerEpoch, 51)
  batch.writeInt32BE(firstSequence, 53)
  batch.writeInt32BE(records.length, 57)
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
  return { buf: batch, buffer: batch, size: () => batch.length }
}

function toInt64(value: Printable): bigint {
  return BigInt(value.toString())
}

/** Numbers within these bounds are zigzag-encoded in 32 bits. */
const small = 0x3fff_ffff

function varintLength(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0
  return zigzag < 0x80 ? 1 : zigzag < 0x4000 ? 2 : zigzag < 0x20_0000 ? 3 : zigzag < 0x1000_0000 ? 4 : 5
}

function varlongLength(value: number): number {
  if (value < small && value > -small) return varintLength(value)
  let zigzag = zigzag64(value)
  let length = 1
  for (; zigzag > 127n; zigzag >>= 7n) length++
  return length
}

function zigzag64(value: number): bigint {
  return BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
}

function bytesLength(bytes: Buffer | null): number {
  return bytes === null ? 1 : varintLength(bytes.length) + bytes.length
}

function writeVarint(buffer: Buffer, at: number, value: number): number {
  let zigzag = ((value << 1) ^ (value >> 31)) >>> 0
  for (; zigzag > 127; zigzag >>>= 7) buffer[at++] = (zigzag & 127) | 128
  buffer[at++] = zigzag
  return at
}

function writeVarlong(buffer: Buffer, at: number, value: number): number {
  if (value < small && value > -small) return writeVarint(buffer, at, value)
  let zigzag = zigzag64(value)
  for (; zigzag > 127n; zigzag >>= 7n) buffer[at++] = Number(zigzag & 127n) | 128
  buffer[at++] = Number(zigzag)
  return at
}

/** -1 as the length stands for null. */
function writeBytes(buffer: Buffer, at: number, bytes: Buffer | null): number {
  if (bytes === null) return writeVarint(buffer, at, -1)
  const start = writeVarint(buffer, at, bytes.length)
  buffer.set(bytes, start)
  return start + bytes.length
}
