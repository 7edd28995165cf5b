// The bytes of a request as they are before their Content-Encoding, within bounds.
import type { IncomingMessage } from 'node:http'
import type { ProblemCode } from '@millrace/contracts'
import { decodeBody, encodingOf } from './content-encoding.ts'
import { readBody } from './read-body.ts'
export { discardRest } from './read-body.ts'

/** Bounds of bodies, in bytes. */
export const bodyLimits = {
  /** A batch, decoded. */
  batchBytes: 5 * 1024 ** 2,
  /** A single body this much larger than an event is still read, so that its refusal names the limit of the event. */
  readFactor: 4,
  /** Without a key in the headers; browsers send beacons of 64 KiB at most. */
  keylessBytes: 128 * 1024,
  /** How often its own size a body may grow when it is decoded, and the size below which it may anyway. */
  maxRatio: 100,
  freeBytes: 256 * 1024,
  /** What is taken and thrown away behind a refusal, before the connection is cut. */
  discardBytes: 32 * 1024 ** 2
} as const

export type Received =
  | { readonly kind: 'ok'; readonly body: Buffer }
  | { readonly kind: 'gone' }
  | { readonly kind: 'refused'; readonly code: ProblemCode; readonly detail: string }

/** The decoded body of `request`, up to `maxBytes` as sent and as decoded. */
export async function receiveBody(request: IncomingMessage, maxBytes: number): Promise<Received> {
  const { headers } = request
  const encoding = encodingOf(headers['content-encoding'])
  if (encoding === undefined) return refused('unsupported_media_type', 'Content-Encoding is gzip, deflate, br or zstd')
  if (Number(headers['content-length'] ?? 0) > maxBytes) return tooLarge(maxBytes)
  const read = await readBody(request, maxBytes)
  if (read.kind !== 'ok') return read.kind === 'gone' ? { kind: 'gone' } : tooLarge(maxBytes)
  if (encoding === 'identity') return read
  const { maxRatio, freeBytes } = bodyLimits
  const decoded = await decodeBody(read.body, encoding, { maxBytes, maxRatio, freeBytes })
  if (decoded.kind === 'ok') return decoded
  return decoded.kind === 'too_large'
    ? refused('body_too_large', `at most ${maxBytes} bytes decoded, and ${maxRatio} times what was sent`)
    : refused('invalid_encoding', `the body is not one ${encoding} stream`)
}

function tooLarge(maxBytes: number): Received {
  return refused('body_too_large', `at most ${maxBytes} bytes are read`)
}

function refused(code: ProblemCode, detail: string): Received {
  return { kind: 'refused', code, detail }
}
