// GET /v1/sessions/:sessionId: one session as the warehouse knows it.
import type { FastifyInstance } from 'fastify'
import { handler } from './answer-request.ts'
import { answerFixed } from './fixed-question.ts'
import type { FixedQuestionDeps } from './fixed-question.ts'

const endpoint = '/v1/sessions/:sessionId'
const sql = 'SELECT * EXCEPT (projectId) FROM sessions WHERE sessionId = {id:String} LIMIT 1'

/** Adds the route to `app`. */
export function addSessionRoutes(app: FastifyInstance, deps: FixedQuestionDeps): void {
  app.get<{ Params: { sessionId: string } }>(
    endpoint,
    handler(deps, endpoint, (request, reply, caller) => {
      const { sessionId } = request.params as { readonly sessionId: string }
      return answerFixed(request, reply, caller, deps, {
        kind: 'session-1',
        sql,
        params: { id: sessionId },
        kept: 'open',
        missing: `there is no session ${sessionId}`,
        toReply: ({ columns, rows: [row] }) =>
          row && Object.fromEntries(columns.map(({ name }, index) => [name, row[index]]))
      })
    })
  )
}
