// A record as the archive keeps it, and the bytes over which its checksum is taken. Pure.
import { isUtf8 } from 'node:buffer'
import { crc32 } from 'node:zlib'
import type { dateEvent } from '@millrace/contracts'

/** The columns of a record that is an event; they are for readers, the truth is the value. */
export interface ArchivedEvent {
  readonly eventId: string
  readonly eventType: string
  readonly userId: string
  readonly anonymousId: string
  readonly sessionId: string
  /** Event time and receipt, epoch milliseconds. */
  readonly timestamp: number
  readonly receivedAt: number
}

/** The columns of an event. Only what no later version of `enrich` would change is among them. */
export function toArchivedEvent(dated: Extract<ReturnType<typeof dateEvent>, { ok: true }>): ArchivedEvent {
  const { event, receivedAt, time } = dated
  return {
    eventId: event.eventId,
    eventType: event.eventType,
    userId: event.userId ?? '',
    anonymousId: event.anonymousId ?? '',
    sessionId: event.sessionId ?? '',
    timestamp: time.timestampMs,
    receivedAt
  }
}

/** One row of an archive file. */
export interface ArchiveRow {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  /** Broker append time, epoch milliseconds. */
  readonly appendedAtMs: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  /** See `headersText`. */
  readonly headers: string
  /** Undefined: the record is not an event. */
  readonly event: ArchivedEvent | undefined
}

/** A record's place, key and value: what the checksum covers. */
export interface RecordContent {
  readonly offset: bigint
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
}

/** Bytes of `writeContent` beside key and value. */
const contentFrame = 16

/** The size of a record in `writeContent`. */
export function contentBytes({ key, value }: RecordContent): number {
  return contentFrame + (key?.byteLength ?? 0) + (value?.byteLength ?? 0)
}

/**
 * Writes offset, key and value at `at` and returns the position behind: 8 bytes of offset, then key and value each with
 * its length in front as a 32-bit integer, -1 for null.
 */
export function writeContent(target: Buffer, at: number, { offset, key, value }: RecordContent): number {
  let next = target.writeBigInt64BE(offset, at)
  for (const part of [key, value]) {
    next = target.writeInt32BE(part === null ? -1 : part.byteLength, next)
    if (part === null) continue
    target.set(part, next)
    next += part.byteLength
  }
  return next
}

/** Continues the checksum `crc` with what `writeContent` writes for these records. */
export function contentCrc(records: readonly RecordContent[], crc = 0): number {
  const bytes = Buffer.allocUnsafe(records.reduce((sum, record) => sum + contentBytes(record), 0))
  let at = 0
  for (const record of records) at = writeContent(bytes, at, record)
  return crc32(bytes, crc)
}

/** Headers as JSON: a text each, or `{"base64": ...}` for bytes that are no UTF-8. */
export function headersText(headers: Readonly<Record<string, Buffer>>): string {
  const shown: Record<string, unknown> = {}
  let empty = true
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined) continue
    empty = false
    shown[name] = isUtf8(value) ? value.toString('utf8') : { base64: value.toString('base64') }
  }
  return empty ? '{}' : JSON.stringify(shown)
}
