// The bytes of a request as they are before their Content-Encoding, within bounds.
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { ProblemCode } from '@millrace/contracts'
import type { Admitted, TurnedAway } from '../admission.ts'
import { decodeBody, encodingOf } from './content-encoding.ts'
import type { Encoding } from './content-encoding.ts'
import { readBody } from './read-body.ts'

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

interface Refused {
  readonly kind: 'refused'
  readonly code: ProblemCode
  readonly detail: string
}

/** What the headers say of a body that is worth reading. */
export interface BodyHead {
  readonly kind: 'ok'
  readonly encoding: Encoding | 'identity'
  /** The length as declared; a guess for a body that declares none. */
  readonly expectedBytes: number
  /** The bound of the body, as sent and as decoded. */
  readonly maxBytes: number
}

/** A body without Content-Length is usually small; as it grows beyond this it asks for more room. */
const chunkedBytes = 64 * 1024

/** The headers of a body of at most `maxBytes`, as sent and as decoded. */
export function readHead(headers: IncomingHttpHeaders, maxBytes: number): BodyHead | Refused {
  const encoding = encodingOf(headers['content-encoding'])
  if (encoding === undefined) return refused('unsupported_media_type', 'Content-Encoding is gzip, deflate, br or zstd')
  const declared = headers['content-length']
  const expectedBytes = declared === undefined ? chunkedBytes : Number(declared)
  return expectedBytes > maxBytes ? tooLarge(maxBytes) : { kind: 'ok', encoding, expectedBytes, maxBytes }
}

export type Received =
  | { readonly kind: 'ok'; readonly body: Buffer }
  /** The client left before the end. */
  | { readonly kind: 'gone' }
  | TurnedAway
  | Refused

/**
 * The decoded body of `request`, which was taken on for the bytes that `head` expects. Its room grows with what comes and
 * with what is decoded, and in the end is that of the body.
 */
export async function receiveBody(
  request: IncomingMessage,
  { encoding, expectedBytes, maxBytes }: BodyHead,
  { resize }: Pick<Admitted, 'resize'>
): Promise<Received> {
  const read = await readBody(request, maxBytes, { bytes: expectedBytes, resize })
  if (read.kind === 'too_large') return tooLarge(maxBytes)
  if (read.kind !== 'ok') return read
  if (encoding === 'identity') {
    if (read.body.length < expectedBytes) resize(read.body.length)
    return read
  }
  const { maxRatio, freeBytes } = bodyLimits
  const sent = read.body.length
  const limits = { maxBytes, maxRatio, freeBytes, grow: (bytes: number) => resize(sent + bytes) }
  const decoded = await decodeBody(read.body, encoding, limits)
  if (decoded.kind === 'ok') resize(decoded.body.length)
  if (decoded.kind === 'ok' || decoded.kind === 'turned-away') return decoded
  return decoded.kind === 'too_large'
    ? refused('body_too_large', `at most ${maxBytes} bytes decoded, and ${maxRatio} times what was sent`)
    : refused('invalid_encoding', `the body is not one ${encoding} stream`)
}

function tooLarge(maxBytes: number): Refused {
  return refused('body_too_large', `at most ${maxBytes} bytes are read`)
}

function refused(code: ProblemCode, detail: string): Refused {
  return { kind: 'refused', code, detail }
}
