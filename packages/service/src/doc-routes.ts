// GET /openapi.json and GET /docs, the same for every service with an HTTP surface.
import type { FastifyInstance } from 'fastify'
import { renderDocsPage } from './docs-page.ts'
import type { ShownApi } from './docs-page.ts'

/** Adds the description `api` (OpenAPI 3.1) to `app`, as it is and as a page; any page of any host may read it. */
export function addDocRoutes(app: FastifyInstance, api: ShownApi): void {
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
