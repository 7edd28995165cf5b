// Problems on the wire.
import type { FastifyReply } from 'fastify'
import { problemContentType, toProblem } from '@millrace/contracts'
import type { ProblemCode } from '@millrace/contracts'

/** Sends the problem `code`; one that is over soon says when to come back. */
export function sendProblem(
  reply: FastifyReply,
  code: ProblemCode,
  extra: Readonly<Record<string, unknown>> = {}
): FastifyReply {
  const problem = toProblem(code, extra)
  if (problem.status === 503) reply.header('retry-after', '2')
  return reply.code(problem.status).header('content-type', problemContentType).send(JSON.stringify(problem))
}
