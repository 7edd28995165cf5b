// A reply on its way out: one header block and one write.
import type { ServerResponse } from 'node:http'
import type { HttpReply } from '../reply.ts'

/** Writes `reply`; `more` is a flat list of header names and values. `last` ends the connection with this reply. */
export function writeReply(response: ServerResponse, reply: HttpReply, more: readonly string[], last: boolean): void {
  const { status, contentType, retryAfter, allow, body } = reply
  const headers = ['content-type', contentType, 'content-length', String(Buffer.byteLength(body)), ...more]
  if (retryAfter !== undefined) headers.push('retry-after', String(retryAfter))
  if (allow !== undefined) headers.push('allow', allow)
  if (last) headers.push('connection', 'close')
  response.writeHead(status, headers)
  response.end(body)
}
