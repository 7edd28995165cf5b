// The bytes of an answer as the engine sends them: small ones as they come; for a larger one there is room first, made once,
// so that nothing is copied twice.
import type { Readable } from 'node:stream'
import { AppError } from '@millrace/kernel'
import type { Lease } from './byte-budget.ts'

export interface Collected {
  readonly body: Buffer
  /** Of a large answer; whoever is done with the body releases it. */
  readonly lease: Lease | undefined
}

export interface CollectOptions {
  /** PIPE_CLICKHOUSE_QUERY with `details.limit` = result_bytes when the answer is longer. */
  readonly maxBytes: number
  readonly reserve: (bytes: number) => Promise<Lease>
}

/** Longer answers are large. */
export const smallBytes = 1024 * 1024

/** Reads `stream` to its end, or destroys it. Throws as the stream does, and as `reserve`. */
export async function collectAnswer(stream: Readable, { maxBytes, reserve }: CollectOptions): Promise<Collected> {
  const chunks: Buffer[] = []
  let bytes = 0
  let large: { readonly body: Buffer; readonly lease: Lease } | undefined
  try {
    // Leaving the loop destroys the stream, and with it the request.
    for await (const chunk of stream) {
      const buffer = chunk as Buffer // the response stream is not in object mode
      if (bytes + buffer.byteLength > maxBytes) throw tooLong(maxBytes)
      if (large === undefined && bytes + buffer.byteLength > smallBytes) {
        const lease = await reserve(maxBytes)
        // Pages that are not written to take no memory.
        large = { body: Buffer.allocUnsafeSlow(maxBytes), lease }
        let at = 0
        for (const before of chunks.splice(0)) at += before.copy(large.body, at)
      }
      if (large === undefined) chunks.push(buffer)
      else buffer.copy(large.body, bytes)
      bytes += buffer.byteLength
    }
  } catch (error) {
    large?.lease.release()
    throw error
  }
  if (large === undefined) return { body: Buffer.concat(chunks), lease: undefined }
  large.lease.shrink(bytes)
  return { body: large.body.subarray(0, bytes), lease: large.lease }
}

function tooLong(maxBytes: number): AppError {
  return new AppError('PIPE_CLICKHOUSE_QUERY', `the answer is longer than ${maxBytes} bytes`, {
    details: { limit: 'result_bytes', maxBytes }
  })
}
