// GET /v1/sessions/:sessionId: one session as the warehouse knows it.
import { randomUUIDv7 } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { problemContentType, toProblem } from '@millrace/contracts'
import { sendProblem } from '@millrace/service'
import type { Priority } from '../bulkhead.ts'
import type { Answers, Made } from '../cache/answers.ts'
import type { cacheKeyOf } from '../cache/cache-key.ts'
import type { Engine } from '../engine.ts'
import { readOptions } from '../request-options.ts'
import { toAnswer } from '../run-query.ts'
import type { TableSchema } from '../table-schema.ts'
import { handler, sendAnswer } from './answer-request.ts'
import type { Caller, RequestDeps } from './answer-request.ts'

export interface SessionRouteDeps extends RequestDeps {
  readonly schema: Pick<TableSchema, 'version'>
  readonly answers: Answers
  readonly engine: Engine
  readonly keyOf: typeof cacheKeyOf
}

const endpoint = '/v1/sessions/:sessionId'
const sql = 'SELECT * EXCEPT (projectId) FROM sessions WHERE sessionId = {id:String} LIMIT 1'

/** Adds the route to `app`. */
export function addSessionRoutes(app: FastifyInstance, deps: SessionRouteDeps): void {
  app.get<{ Params: { sessionId: string } }>(
    endpoint,
    handler(deps, endpoint, (request, reply, caller) => answer(request, reply, caller, deps))
  )
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  caller: Caller,
  { schema, answers, engine, keyOf, metrics }: SessionRouteDeps
): Promise<FastifyReply> {
  const read = readOptions(request.headers)
  if (!read.ok) return sendProblem(reply, 'invalid_request', { detail: read.detail, header: read.header })
  const { projectId } = caller
  const { priority, use, allowStale } = read.options
  const { sessionId } = request.params as { readonly sessionId: string }
  const common = { sql, params: { id: sessionId } }
  const key = keyOf({ projectId, kind: 'session-1', schemaVersion: schema.version(), format: 'json', ...common })
  const make = async (signal: AbortSignal, given: Priority): Promise<Made> => {
    const queryId = randomUUIDv7()
    const asked = { ...caller, ...common, signal, queryId, format: 'JSONCompact', priority: given }
    const found = toReply(await engine.ask(asked), sessionId)
    return { ...found, queryId, kept: 'open' }
  }
  const question = { projectId, key, priority, deadlineMs: caller.deadlineMs, use, allowStale, make }
  const found = await answers.ask(question, caller.signal)
  return sendAnswer(reply, found, metrics)
}

function toReply(body: Buffer, sessionId: string): Pick<Made, 'status' | 'contentType' | 'body'> {
  const { columns, rows } = toAnswer(body)
  const [row] = rows
  if (row === undefined) {
    const problem = toProblem('not_found', { detail: `there is no session ${sessionId}` })
    const contentType = `${problemContentType}; charset=utf-8`
    return { status: problem.status, contentType, body: Buffer.from(JSON.stringify(problem)) }
  }
  const session = Object.fromEntries(columns.map(({ name }, index) => [name, row[index]]))
  const contentType = 'application/json; charset=utf-8'
  return { status: 200, contentType, body: Buffer.from(JSON.stringify(session)) }
}
