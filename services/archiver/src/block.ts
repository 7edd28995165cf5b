// Records on their way to the thread that encodes them: one piece of memory that changes hands without a copy. Pure.
import { crc32 } from 'node:zlib'
import type { KafkaRecord } from '@millrace/kafka'
import { contentBytes, headersText, writeContent } from '@millrace/stores/archive-rows'
import type { RecordContent } from '@millrace/stores/archive-rows'

/** Records of one partition, in the order of their offsets. */
export interface Block {
  readonly count: number
  /** `writeContent` of each record. */
  readonly content: Uint8Array<ArrayBuffer>
  readonly appendedAtMs: Float64Array<ArrayBuffer>
  readonly headers: readonly string[]
}

/** A record out of a block; key and value are views of the block's memory. */
export interface UnpackedRecord extends RecordContent {
  readonly appendedAtMs: number
  readonly headers: string
}

/** A record as `packBlock` takes it. */
export type PackedRecord = Pick<KafkaRecord, 'offset' | 'key' | 'value' | 'headers' | 'appendedAtMs'>

/** The block of `records`. */
export function packBlock(records: readonly PackedRecord[]): Block {
  const size = records.reduce((sum, record) => sum + contentBytes(record), 0)
  const content = new Uint8Array(new ArrayBuffer(size))
  const target = Buffer.from(content.buffer)
  const appendedAtMs = new Float64Array(records.length)
  const headers: string[] = []
  let at = 0
  for (const [index, record] of records.entries()) {
    at = writeContent(target, at, record)
    appendedAtMs[index] = record.appendedAtMs
    headers.push(headersText(record.headers))
  }
  return { count: records.length, content, appendedAtMs, headers }
}

/** Continues the checksum of a file, see `contentCrc`. */
export function blockCrc({ content }: Block, crc: number): number {
  return crc32(content, crc)
}

/** The records of a block. */
export function unpackBlock({ count, content, appendedAtMs, headers }: Block): UnpackedRecord[] {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength)
  const records: UnpackedRecord[] = []
  let at = 0
  const part = (): Buffer | null => {
    const length = bytes.readInt32BE(at)
    at += 4
    if (length < 0) return null
    at += length
    return bytes.subarray(at - length, at)
  }
  for (let index = 0; index < count; index++) {
    const offset = bytes.readBigInt64BE(at)
    at += 8
    const key = part()
    const value = part()
    records.push({ offset, key, value, appendedAtMs: appendedAtMs[index] ?? 0, headers: headers[index] ?? '{}' })
  }
  return records
}
