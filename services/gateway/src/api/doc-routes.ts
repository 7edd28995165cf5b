// GET /openapi.json and GET /docs.
import type { FastifyInstance } from 'fastify'
import gatewayPackage from '../../package.json' with { type: 'json' }
import { renderDocsPage } from './docs-page.ts'
import { createOpenApi } from './openapi.ts'

/** Adds the description of the gateway to `app`; any page may read it. */
export function addDocRoutes(app: FastifyInstance): void {
  const api = createOpenApi(gatewayPackage.version)
  const text = JSON.stringify(api)
  const page = renderDocsPage(api)
  const keep = 'public, max-age=300'
  app.get('/openapi.json', (_request, reply) =>
    reply
      .header('cache-control', keep)
      .header('access-control-allow-origin', '*')
      .type('application/json; charset=utf-8')
      .send(text)
  )
  app.get('/docs', (_request, reply) =>
    reply
      .header('cache-control', keep)
      .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
      .type('text/html; charset=utf-8')
      .send(page)
  )
}
