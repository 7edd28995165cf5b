// The HTTP server of the query service: limits, timeouts and problem documents.
import fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { addDocRoutes, answerProblems } from '@millrace/service'
import queryPackage from '../package.json' with { type: 'json' }
import { createOpenApi } from './api/openapi.ts'
import { addAnalysisRoutes } from './routes/analysis.ts'
import type { AnalysisRouteDeps } from './routes/analysis.ts'
import { addCacheRoutes } from './routes/cache.ts'
import type { CacheRouteDeps } from './routes/cache.ts'
import { addMetricRoutes } from './routes/metrics.ts'
import type { MetricRouteDeps } from './routes/metrics.ts'
import { addQueryRoutes } from './routes/query.ts'
import type { QueryRouteDeps } from './routes/query.ts'
import { addSchemaRoutes } from './routes/schema.ts'
import type { SchemaRouteDeps } from './routes/schema.ts'
import { addSessionRoutes } from './routes/sessions.ts'

export type QueryAppDeps = QueryRouteDeps & MetricRouteDeps & SchemaRouteDeps & AnalysisRouteDeps & CacheRouteDeps

/** A query is at most 64 KiB of text; its bound values may take as much again and more. */
const bodyLimit = 1024 * 1024

/** The server, not yet listening. */
export function createQueryApp(deps: QueryAppDeps): FastifyInstance {
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
  addCacheHeaders(app)
  answerProblems(app, deps.log)
  addRoutes(app, deps)
  return app
}

/** Replies and problems are of one project: nobody between keeps them, unless a route says otherwise. */
function addCacheHeaders(app: FastifyInstance): void {
  app.addHook('onSend', async (_request, reply) => {
    if (reply.hasHeader('cache-control')) return
    reply.header('cache-control', 'private, no-cache').header('vary', 'Accept, Authorization, X-Api-Key')
  })
}

/** Adds everything that is served beside what every service has. */
export function addRoutes(app: FastifyInstance, deps: QueryAppDeps): void {
  addQueryRoutes(app, deps)
  addMetricRoutes(app, deps)
  addSchemaRoutes(app, deps)
  addSessionRoutes(app, deps)
  addAnalysisRoutes(app, deps)
  addCacheRoutes(app, deps)
  addDocRoutes(app, createOpenApi(queryPackage.version))
}
