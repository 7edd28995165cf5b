// GET /admin/hot-keys: the busiest event types and users of each project, over all processes of this gateway.
import type { FastifyInstance } from 'fastify'
import { problemContentType, toProblem } from '@millrace/contracts'
import { isAdmin } from '@millrace/service'
import { hotKeyCapacity, hotKeyWindowMs, mergeHotWindows } from './hot-keys.ts'
import type { HotWindow } from './hot-keys.ts'

export interface AdminRouteDeps {
  /** Empty: the routes are off. */
  readonly adminToken: string
  /** The windows of each process. */
  readonly hotWindows: () => Promise<readonly (readonly HotWindow[])[]>
}

/** Adds the administration endpoints to `app`; every request needs the token. */
export function addAdminRoutes(app: FastifyInstance, { adminToken, hotWindows }: AdminRouteDeps): void {
  if (adminToken === '') return
  app.get<{ Querystring: { project?: string; top?: string } }>('/admin/hot-keys', async (request, reply) => {
    if (!isAdmin(request.headers.authorization, adminToken)) {
      const problem = toProblem('unauthorized', { detail: 'send the administration token as Authorization: Bearer' })
      return reply.code(problem.status).type(problemContentType).send(JSON.stringify(problem))
    }
    const { project: projectId, top } = request.query
    const count = Math.trunc(Number(top ?? 10))
    const windows = mergeHotWindows(await hotWindows(), {
      projectId,
      top: count >= 1 && count <= hotKeyCapacity ? count : hotKeyCapacity
    })
    return reply.header('cache-control', 'no-store').send({
      windowMs: hotKeyWindowMs,
      bounds: 'count - error <= events of the key <= count; a key that is not listed had at most `unseen` events',
      windows
    })
  })
}
