// The HTTP server of the live feed: tickets, the page, the description; WebSockets are added by sockets.ts.
import fastify from 'fastify'
import type { FastifyError, FastifyInstance } from 'fastify'
import type { ProblemCode } from '@millrace/contracts'
import type { Logger } from '@millrace/observability'
import { addDocRoutes } from './api/doc-routes.ts'
import { addPageRoutes } from './page-routes.ts'
import { sendProblem } from './reply.ts'
import { addTicketRoutes } from './ticket-routes.ts'
import type { TicketRouteDeps } from './ticket-routes.ts'
import { realtimePath } from './upgrade.ts'

export interface RealtimeAppDeps extends TicketRouteDeps {
  readonly log: Logger
  readonly trustProxy: boolean
}

/** The server, not yet listening. */
export function createRealtimeApp(deps: RealtimeAppDeps): FastifyInstance {
  const app = fastify({
    logger: false,
    requestIdHeader: false,
    trustProxy: deps.trustProxy,
    bodyLimit: 4 * 1024,
    requestTimeout: 10_000,
    connectionTimeout: 0,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    http: {
      maxHeaderSize: 16 * 1024,
      headersTimeout: 10_000,
      // Whoever offers another protocol (h2c) is answered as if it had not.
      shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === 'websocket'
    }
  })
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, 'not_found'))
  app.setErrorHandler<FastifyError>((error, _request, reply) => {
    const code = problemCodeOf(error)
    if (code === 'internal') deps.log.error({ err: error }, 'request failed')
    return sendProblem(reply, code, code === 'internal' ? {} : { detail: error.message })
  })
  app.get(realtimePath, (_request, reply) => {
    reply.header('upgrade', 'websocket')
    return sendProblem(reply, 'invalid_request', { status: 426, detail: 'this is a WebSocket' })
  })
  addTicketRoutes(app, deps)
  addPageRoutes(app, deps.demoProject)
  addDocRoutes(app)
  return app
}

function problemCodeOf(error: FastifyError): ProblemCode {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return 'body_too_large'
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return 'unsupported_media_type'
  if (error instanceof SyntaxError || error.code === 'FST_ERR_CTP_INVALID_JSON_BODY') return 'invalid_json'
  const status = error.statusCode ?? 500
  return status >= 400 && status < 500 ? 'invalid_request' : 'internal'
}
