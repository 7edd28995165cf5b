// A reply on its way out: one header block and one write.
import type { ServerResponse } from 'node:http'
import type { HttpReply } from '../reply.ts'

/** Writes `reply`; `more` is a flat list of header names and values. `last` ends the connection with this reply. */
export function writeReply(response: ServerResponse, reply: HttpReply, more: readonly string[], last: boolean): void {
  const { status, contentType, retryAfter, allow, body } = reply
  const bytes = Buffer.byteLength(body)
  const headers = ['content-type', contentType, 'content-length', String(bytes), ...more]
  if (retryAfter !== undefined) headers.push('retry-after', String(retryAfter))
  if (allow !== undefined) headers.push('allow', allow)
  if (last) headers.push('connection', 'close')
  response.writeHead(status, headers)
  // A text of ASCII alone is copied as it is.
  response.end(body, bytes === body.length ? 'latin1' : 'utf8')
}
