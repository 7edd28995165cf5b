// The HTTP server of the query service: limits, timeouts and problem documents.
import fastify from 'fastify'
import type { FastifyError, FastifyInstance } from 'fastify'
import type { ProblemCode } from '@millrace/contracts'
import { sendProblem } from './reply.ts'
import { addQueryRoutes } from './routes/query.ts'
import type { QueryRouteDeps } from './routes/query.ts'

/** A query is at most 64 KiB of text; its bound values may take as much again and more. */
const bodyLimit = 1024 * 1024

/** The server, not yet listening. */
export function createQueryApp(deps: QueryRouteDeps): FastifyInstance {
  const app = fastify({
    logger: false,
    requestIdHeader: false,
    bodyLimit,
    requestTimeout: 15_000,
    connectionTimeout: 330_000,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    routerOptions: { maxParamLength: 256 },
    // A query in the URL makes a long request line.
    http: { maxHeaderSize: 96 * 1024, headersTimeout: 10_000 }
  })
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, 'not_found'))
  app.setErrorHandler<FastifyError>((error, _request, reply) => {
    const code = problemCodeOf(error)
    if (code === 'internal') deps.log.error({ err: error }, 'request failed')
    return sendProblem(reply, code, code === 'internal' ? {} : { detail: error.message })
  })
  addQueryRoutes(app, deps)
  return app
}

function problemCodeOf(error: FastifyError): ProblemCode {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return 'body_too_large'
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return 'unsupported_media_type'
  if (error instanceof SyntaxError || error.code === 'FST_ERR_CTP_INVALID_JSON_BODY') return 'invalid_json'
  const status = error.statusCode ?? 500
  return status >= 400 && status < 500 ? 'invalid_request' : 'internal'
}
