// The bytes of a request body, up to a bound that holds whatever Content-Length says, and as far as there is room for them.
import type { IncomingMessage } from 'node:http'
import type { Admitted, TurnedAway } from '../admission.ts'

/** `gone`: the client went away before the end. */
export type ReadBody =
  | { readonly kind: 'ok'; readonly body: Buffer }
  | { readonly kind: 'too_large' }
  | { readonly kind: 'gone' }
  | TurnedAway

/** The room of a body: its bytes, and how more of them are asked for. */
export interface Room extends Pick<Admitted, 'resize'> {
  readonly bytes: number
}

const empty = Buffer.alloc(0)
const tooLarge: ReadBody = { kind: 'too_large' }
const gone: ReadBody = { kind: 'gone' }

/**
 * Reads up to `maxBytes`, and asks for room for what goes beyond `room`. Of a body that is larger, or has no room, nothing
 * is kept; `discardRest` takes what still comes.
 */
export function readBody(request: IncomingMessage, maxBytes: number, room: Room): Promise<ReadBody> {
  // Gone while its key was looked up: nothing more will happen on it.
  if (request.destroyed) return Promise.resolve(gone)
  return new Promise((resolve) => {
    let first: Buffer | undefined
    let chunks: Buffer[] | undefined
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      const refusal = size > maxBytes ? tooLarge : size > room.bytes ? room.resize(size) : undefined
      if (refusal !== undefined) {
        first = chunks = undefined
        request.removeAllListeners('data')
        return resolve(refusal)
      }
      if (first === undefined) first = chunk
      else (chunks ??= [first]).push(chunk)
    })
    request.on('end', () => {
      const body = chunks === undefined ? (first ?? empty) : Buffer.concat(chunks, size)
      resolve({ kind: 'ok', body })
    })
    // After the end this changes nothing; without an end it is the only word of a client that left.
    request.on('close', () => resolve(gone))
  })
}

/**
 * Takes what still comes of a body that is not read, so that its sender finds the reply on an open connection; beyond
 * `maxBytes` the connection is cut.
 */
export function discardRest(request: IncomingMessage, maxBytes: number): void {
  if (request.complete) return
  let size = 0
  request.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > maxBytes) request.destroy()
  })
  request.on('error', () => {})
  request.resume()
}
