// GET /openapi.json.
import type { FastifyInstance } from 'fastify'
import realtimePackage from '../../package.json' with { type: 'json' }
import { createOpenApi } from './openapi.ts'

/** Adds the description of the live feed to `app`; any page may read it. */
export function addDocRoutes(app: FastifyInstance): void {
  const text = JSON.stringify(createOpenApi(realtimePackage.version))
  app.get('/openapi.json', (_request, reply) =>
    reply
      .header('cache-control', 'public, max-age=300')
      .header('access-control-allow-origin', '*')
      .type('application/json; charset=utf-8')
      .send(text)
  )
}
