// The HTTP server of the operations service: limits, timeouts and problem documents. A new endpoint: a file in
// routes/ that exports `createXRoutes(deps)`, and its line in `opsRoutes`; the token is asked for by route.ts.
import fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { addDocRoutes, answerProblems } from '@millrace/service'
import type { BoundMetrics, Logger } from '@millrace/observability'
import opsPackage from '../package.json' with { type: 'json' }
import type { opsMetrics } from './metrics.ts'
import { createOpenApi } from './openapi.ts'
import { problemOf } from './problem-of.ts'
import { addRoutes } from './route.ts'
import type { OpsRoute } from './route.ts'
import { createAuditRoutes } from './routes/audit.ts'
import type { AuditRouteDeps } from './routes/audit.ts'
import { createDoctorRoutes } from './routes/doctor.ts'
import type { DoctorRouteDeps } from './routes/doctor.ts'
import { createDropRoutes } from './routes/drops.ts'
import type { DropRouteDeps } from './routes/drops.ts'
import { createEpochRoutes } from './routes/epochs.ts'
import { createKeyRoutes } from './routes/keys.ts'
import type { KeyRouteDeps } from './routes/keys.ts'
import { createLagRoutes } from './routes/lag.ts'
import type { LagRouteDeps } from './routes/lag.ts'
import { createLetterRoutes } from './routes/letters.ts'
import type { LetterRouteDeps } from './routes/letters.ts'
import { createMetricRoutes } from './routes/metrics.ts'
import type { MetricRouteDeps } from './routes/metrics.ts'
import { createProjectRoutes } from './routes/projects.ts'
import type { ProjectRouteDeps } from './routes/projects.ts'
import { createReplayRoutes } from './routes/replays.ts'
import type { ReplayRouteDeps } from './routes/replays.ts'
import { createSchemaRoutes } from './routes/schemas.ts'
import type { SchemaRouteDeps } from './routes/schemas.ts'
import { createTrailRoutes } from './routes/trail.ts'
import type { TrailRouteDeps } from './routes/trail.ts'

/** What the routes work with. Each file of routes/ names what it needs of it. */
export type OpsRouteDeps = ProjectRouteDeps &
  KeyRouteDeps &
  SchemaRouteDeps &
  MetricRouteDeps &
  AuditRouteDeps &
  LagRouteDeps &
  DoctorRouteDeps &
  DropRouteDeps &
  ReplayRouteDeps &
  TrailRouteDeps &
  LetterRouteDeps

export interface OpsAppDeps extends OpsRouteDeps {
  readonly adminToken: string
  readonly metrics: BoundMetrics<typeof opsMetrics>
  readonly log: Logger
}

/** Who acts over HTTP, for the audit log: there is one token. */
export const apiActor = 'api:admin'

/** Every endpoint of the administration API. */
export function opsRoutes(deps: OpsRouteDeps): readonly OpsRoute[] {
  return [
    ...createProjectRoutes(deps),
    ...createKeyRoutes(deps),
    ...createSchemaRoutes(deps),
    ...createMetricRoutes(deps),
    ...createAuditRoutes(deps),
    ...createLagRoutes(deps),
    ...createDoctorRoutes(deps),
    ...createDropRoutes(deps),
    ...createLetterRoutes(deps),
    ...createReplayRoutes(deps),
    ...createEpochRoutes(deps),
    ...createTrailRoutes(deps)
  ]
}

/** The server, not yet listening. */
export function createOpsApp(deps: OpsAppDeps): FastifyInstance {
  const app = fastify({
    logger: false,
    requestIdHeader: false,
    bodyLimit: 1024 * 1024,
    requestTimeout: 15_000,
    connectionTimeout: 330_000,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    routerOptions: { maxParamLength: 512 },
    http: { maxHeaderSize: 16 * 1024, headersTimeout: 10_000 },
    // A member that is not known is an error, not something to drop silently.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: 'array' } }
  })
  answerProblems(app, deps.log, problemOf)
  app.addHook('onSend', async (_request, reply) => {
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
  })
  const routes = opsRoutes(deps)
  addRoutes(app, routes, deps)
  addDocRoutes(app, createOpenApi(opsPackage.version, routes))
  return app
}
