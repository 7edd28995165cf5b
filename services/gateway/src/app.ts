// The HTTP server of the gateway: limits, timeouts, problem documents, and an end without a cut connection.
import fastify from 'fastify'
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify'
import { toProblem } from '@millrace/contracts'
import type { ProblemCode } from '@millrace/contracts'
import type { Logger } from '@millrace/observability'
import { addEventRoute } from './routes/event.ts'
import type { EventRouteDeps } from './routes/event.ts'
import { problemReply } from './reply.ts'

export interface GatewayAppDeps extends EventRouteDeps {
  readonly log: Logger
  readonly trustProxy: boolean
  readonly maxEventBytes: number
}

/** A body this much larger than an event is still read, so that its refusal arrives on an open connection. */
const readFactor = 4

/** The server, not yet listening. */
export function createGatewayApp(deps: GatewayAppDeps): FastifyInstance {
  const app = fastify({
    logger: false,
    trustProxy: deps.trustProxy,
    // A client's own request id would reach our logs as it is.
    requestIdHeader: false,
    bodyLimit: deps.maxEventBytes * readFactor,
    requestTimeout: 15_000,
    connectionTimeout: 30_000,
    keepAliveTimeout: 72_000,
    // While stopping, connections at rest are closed and the others end with their reply.
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    http: { maxHeaderSize: 16 * 1024, headersTimeout: 10_000 },
    clientErrorHandler: answerBrokenRequest
  })
  app.server.maxHeadersCount = 100
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  addEventRoute(app, deps)
  app.setNotFoundHandler((request, reply) => {
    const known = request.url.split('?', 1)[0] === '/v1/events'
    if (known) reply.header('allow', 'POST')
    return send(reply, known ? 'method_not_allowed' : 'not_found', {}, deps)
  })
  app.setErrorHandler<FastifyError>((error, _request, reply) => {
    const code = problemCodeOf(error)
    if (code === 'internal') deps.log.error({ err: error }, 'request failed')
    else deps.metrics.rejected.add(1, { code })
    return send(reply, code, code === 'body_too_large' ? { detail: bodyLimitDetail(deps) } : {}, deps)
  })
  return app
}

function send(
  reply: FastifyReply,
  code: ProblemCode,
  extra: Readonly<Record<string, unknown>>,
  { random, signal }: GatewayAppDeps
): FastifyReply {
  if (signal.aborted) reply.header('connection', 'close')
  const { status, contentType, body } = problemReply(code, extra, random)
  return reply.code(status).header('content-type', contentType).send(body)
}

function problemCodeOf(error: FastifyError): ProblemCode {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return 'body_too_large'
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return 'unsupported_media_type'
  const status = error.statusCode ?? 500
  return status >= 400 && status < 500 ? 'invalid_request' : 'internal'
}

function bodyLimitDetail({ maxEventBytes }: GatewayAppDeps): string {
  return `at most ${maxEventBytes * readFactor} bytes are read, and an event has at most ${maxEventBytes}`
}

interface ClientError extends Error {
  readonly code?: string
}

interface ClientSocket {
  readonly writable: boolean
  readonly destroyed: boolean
  write(text: string): unknown
  destroy(error?: Error): unknown
}

/** The answer to bytes that are not a request: too many headers, a request that never ends, not HTTP. */
function answerBrokenRequest(error: ClientError, socket: ClientSocket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
  const reason = { 400: 'Bad Request', 408: 'Request Timeout', 431: 'Request Header Fields Too Large' }[status]
  const body = JSON.stringify(toProblem('invalid_request', { status }))
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/problem+json\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
    )
  }
  socket.destroy(error)
}
