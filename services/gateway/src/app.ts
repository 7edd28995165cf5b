// The HTTP server of the gateway: intake on plain requests, everything else on Fastify; limits, timeouts, problem
// documents, and an end without a cut connection.
import { createServer } from 'node:http'
import type { RequestListener, Server, ServerOptions } from 'node:http'
import fastify from 'fastify'
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify'
import { problemContentType, toProblem } from '@millrace/contracts'
import type { ProblemCode } from '@millrace/contracts'
import type { Logger } from '@millrace/observability'
import { addDocRoutes } from '@millrace/service'
import gatewayPackage from '../package.json' with { type: 'json' }
import { createOpenApi } from './api/openapi.ts'
import { limitConnections } from './connection-limit.ts'
import { createIntake } from './intake/intake.ts'
import type { Intake, IntakeDeps } from './intake/intake.ts'
import { problemReply } from './reply.ts'

export interface GatewayAppDeps extends Omit<IntakeDeps, 'onError'> {
  readonly log: Logger
  /** Connections that one address may hold; 0 is no limit. */
  readonly connectionsPerAddress: number
}

const serverOptions: ServerOptions = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  // How often the two are looked at; by default twice a minute, which would make them 30 seconds longer.
  connectionsCheckingInterval: 2_000,
  keepAliveTimeout: 72_000
}
const idleConnectionMs = 30_000
const maxHeaders = 100

/** The server, not yet listening. */
export function createGatewayApp(deps: GatewayAppDeps): FastifyInstance {
  const { log } = deps
  const onError = (error: unknown): void => log.error({ err: error }, 'request failed')
  const intake = createIntake({ ...deps, onError })
  const app = fastify({
    logger: false,
    trustProxy: deps.trustProxy,
    // A client's own request id would reach our logs as it is.
    requestIdHeader: false,
    bodyLimit: 64 * 1024,
    // While stopping, connections at rest are closed and the others end with their reply.
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    serverFactory: (others) => {
      const server = createIntakeServer(intake, others)
      const { connectionsPerAddress: most, metrics } = deps
      if (most > 0) limitConnections(server, most, () => metrics.unavailable.add(1, { reason: 'connections' }))
      return server
    },
    clientErrorHandler: answerBrokenRequest
  })
  addDocRoutes(app, createOpenApi(gatewayPackage.version))
  app.setNotFoundHandler((_request, reply) => send(reply, 'not_found', deps))
  app.setErrorHandler<FastifyError>((error, _request, reply) => {
    const code = problemCodeOf(error)
    if (code === 'internal') onError(error)
    else deps.metrics.rejected.add(1, { code })
    return send(reply, code, deps)
  })
  return app
}

/** A server that offers each request to `intake` first. */
function createIntakeServer(intake: Intake, others: RequestListener): Server {
  const server = createServer(serverOptions, (request, response) => {
    if (!intake(request, response)) others(request, response)
  })
  server.setTimeout(idleConnectionMs)
  server.maxHeadersCount = maxHeaders
  return server
}

function send(reply: FastifyReply, code: ProblemCode, { random, signal }: GatewayAppDeps): FastifyReply {
  if (signal.aborted) reply.header('connection', 'close')
  const { status, contentType, body } = problemReply(code, {}, random)
  return reply.code(status).header('content-type', contentType).send(body)
}

function problemCodeOf(error: FastifyError): ProblemCode {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return 'body_too_large'
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return 'unsupported_media_type'
  const status = error.statusCode ?? 500
  return status >= 400 && status < 500 ? 'invalid_request' : 'internal'
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
      `HTTP/1.1 ${status} ${reason}\r\nContent-Type: ${problemContentType}\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
    )
  }
  socket.destroy(error)
}
