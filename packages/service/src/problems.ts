// Errors of an HTTP service as problem documents, also those that the server itself finds.
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify'
import { problemContentType, toProblem } from '@millrace/contracts'
import type { ProblemCode } from '@millrace/contracts'
import type { Logger } from '@millrace/observability'

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

/** What `problemOf` of a service makes of an error; undefined leaves it to the rules of all services. */
export interface FoundProblem {
  readonly code: ProblemCode
  readonly pointer?: string
}

/**
 * Makes `app` answer unknown addresses, requests that it cannot read, and its own failures with problems; `problemOf`
 * knows the errors of its routes.
 */
export function answerProblems(
  app: FastifyInstance,
  log: Pick<Logger, 'error'>,
  problemOf: (error: FastifyError) => FoundProblem | undefined = () => undefined
): void {
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, 'not_found'))
  app.setErrorHandler<FastifyError>((error, _request, reply) => {
    const known = problemOf(error)
    const code = known?.code ?? problemCodeOf(error)
    if (code === 'internal') log.error({ err: error }, 'request failed')
    return sendProblem(reply, code, code === 'internal' ? {} : { ...known, detail: error.message })
  })
}

function problemCodeOf(error: FastifyError): ProblemCode {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return 'body_too_large'
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return 'unsupported_media_type'
  if (error instanceof SyntaxError || error.code === 'FST_ERR_CTP_INVALID_JSON_BODY') return 'invalid_json'
  const status = error.statusCode ?? 500
  return status >= 400 && status < 500 ? 'invalid_request' : 'internal'
}
