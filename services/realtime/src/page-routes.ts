// The page at /: three files as they lie in page/, without a build step and without anything of another host.
import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join('; ')

const files = [
  ['/', 'live.html', 'text/html; charset=utf-8'],
  ['/live.js', 'live.js', 'text/javascript; charset=utf-8'],
  ['/live.css', 'live.css', 'text/css; charset=utf-8']
] as const

/** Adds the page; with `demoProject` it gets tickets for it from this service, without one it waits for a ticket. */
export function addPageRoutes(app: FastifyInstance, demoProject: string | undefined): void {
  for (const [path, file, type] of files) {
    const text = readFileSync(new URL(`page/${file}`, import.meta.url), 'utf8')
    const body = text.replace('data-demo=""', `data-demo="${demoProject ?? ''}"`)
    app.get(path, (_request, reply) =>
      reply
        .header('content-security-policy', policy)
        .header('x-content-type-options', 'nosniff')
        .header('referrer-policy', 'no-referrer')
        .header('cache-control', 'no-cache')
        .type(type)
        .send(body)
    )
  }
}
