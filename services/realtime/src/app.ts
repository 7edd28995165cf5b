// The HTTP server of the live feed: tickets, the page, the description; WebSockets are added by sockets.ts.
import fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import type { Logger } from '@millrace/observability'
import realtimePackage from '../package.json' with { type: 'json' }
import { createOpenApi } from './api/openapi.ts'
import { addPageRoutes } from './page-routes.ts'
import { addDocRoutes, answerProblems, sendProblem } from '@millrace/service'
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
  answerProblems(app, deps.log)
  app.get(realtimePath, (_request, reply) => {
    reply.header('upgrade', 'websocket')
    return sendProblem(reply, 'invalid_request', { status: 426, detail: 'this is a WebSocket' })
  })
  addTicketRoutes(app, deps)
  addPageRoutes(app, deps.demoProject)
  addDocRoutes(app, createOpenApi(realtimePackage.version))
  return app
}
