// DELETE /v1/cache: what was answered before does not count any more, such as after a replay.
import type { FastifyInstance } from 'fastify'
import { AppError } from '@millrace/kernel'
import { sendProblem } from '@millrace/service'
import type { AnswerCache } from '../cache/answer-cache.ts'
import { handler } from './answer-request.ts'
import type { RequestDeps } from './answer-request.ts'

export interface CacheRouteDeps extends RequestDeps {
  readonly cache: Pick<AnswerCache, 'purge'>
}

const endpoint = '/v1/cache'

/** Adds the route to `app`. */
export function addCacheRoutes(app: FastifyInstance, deps: CacheRouteDeps): void {
  app.delete(
    endpoint,
    handler(deps, endpoint, async (_request, reply, { projectId }) => {
      try {
        await deps.cache.purge(projectId)
      } catch (error) {
        if (!(error instanceof AppError)) throw error
        return sendProblem(reply, 'unavailable', { detail: 'the cache does not answer; repeat' })
      }
      return reply.code(204).send()
    })
  )
}
