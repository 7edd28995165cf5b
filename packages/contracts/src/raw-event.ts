// The bytes of a raw record: the client's own JSON with the gateway's members spliced in last. JSON.parse keeps the last
// of equal keys, so the gateway wins whatever the client sent, and nothing is serialised twice.
import { AppError } from '@millrace/kernel'

/** What the gateway adds to a record. Absent members are not written. Times are ISO 8601 texts. */
export interface RawFields {
  readonly projectId: string
  readonly receivedAt: string
  /** Set when the first receipt of an event is reused: it replaces the client's. */
  readonly sentAt?: string | undefined
  /** Set when the client sent none. */
  readonly eventId?: string | undefined
  /** By the project's policy. */
  readonly ip?: string | undefined
  /** By the project's policy. */
  readonly userAgent?: string | undefined
  /** ISO 3166 code of the sender's country, when the deployment names a header for it. */
  readonly country?: string | undefined
  /** The version of the schema of its type that the event passed. */
  readonly schemaVersion?: number | undefined
}

const openBrace = 0x7b
const closeBrace = 0x7d

/**
 * `body`, the bytes of one JSON object that `decodeEvent` accepted, with `fields` before its closing brace. Whitespace
 * after the object is dropped. Throws PIPE_INVALID_INPUT when `body` does not end in an object.
 */
export function spliceRawEvent(body: Buffer, fields: RawFields): Buffer {
  const close = lastText(body, body.byteLength - 1)
  if (close < 1 || body[close] !== closeBrace) {
    throw new AppError('PIPE_INVALID_INPUT', 'splice gateway fields: the body does not end in a JSON object')
  }
  const last = lastText(body, close - 1)
  const separator = body[last] === openBrace ? '' : ','
  // JSON.stringify leaves out undefined members and writes lone surrogates as escapes.
  const { projectId, receivedAt, sentAt, eventId, ip, userAgent, country, schemaVersion } = fields
  const added = Buffer.from(
    separator +
      JSON.stringify({ eventId, sentAt, ip, userAgent, country, schemaVersion, projectId, receivedAt }).slice(1)
  )
  const raw = Buffer.allocUnsafe(close + added.byteLength)
  body.copy(raw, 0, 0, close)
  added.copy(raw, close)
  return raw
}

/** Index of the last byte at or before `from` that is not JSON whitespace, or -1. */
function lastText(body: Buffer, from: number): number {
  let at = from
  while (at >= 0 && isWhitespace(body[at])) at--
  return at
}

function isWhitespace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}
