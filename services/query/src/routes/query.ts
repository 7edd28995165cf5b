// GET and POST /v1/query: who asks, what is asked, and the answer or a problem that says what to change.
import { randomUUIDv7 } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { apiKeyOf, keyProblems } from '@millrace/contracts'
import type { KeyDecision, ProblemCode } from '@millrace/contracts'
import type { BoundMetrics, Logger } from '@millrace/observability'
import type { Clock } from '@millrace/kernel'
import { sendProblem } from '@millrace/service'
import type { Bulkhead } from '../bulkhead.ts'
import type { queryMetrics } from '../metrics.ts'
import { bindParameters } from '../parameters.ts'
import { toQueryProblem } from '../query-error.ts'
import type { RunQuery } from '../run-query.ts'
import { gate } from '../sql/gate.ts'

/** The key store as this service needs it. */
export interface ReadKeyStore {
  authenticate(rawKey: string, need: 'read'): KeyDecision | Promise<KeyDecision>
}

export interface QueryRouteDeps {
  readonly keys: ReadKeyStore
  readonly run: RunQuery
  readonly bulkhead: Bulkhead
  readonly metrics: BoundMetrics<typeof queryMetrics>
  readonly log: Logger
  readonly clock: Clock
}

interface Problem {
  readonly code: ProblemCode
  readonly extra: Readonly<Record<string, unknown>>
}

const endpoint = '/v1/query'

/** Adds the query routes to `app`. */
export function addQueryRoutes(app: FastifyInstance, deps: QueryRouteDeps): void {
  const handle = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const startedAt = deps.clock.monotonic()
    const result = await answer(request, reply, deps)
    deps.metrics.latency.observe((deps.clock.monotonic() - startedAt) / 1_000, { endpoint })
    deps.metrics.requests.add(1, { endpoint, status: String(reply.statusCode) })
    return result
  }
  app.get(endpoint, handle)
  app.post(endpoint, handle)
}

async function answer(request: FastifyRequest, reply: FastifyReply, deps: QueryRouteDeps): Promise<FastifyReply> {
  const key = apiKeyOf(request.headers)
  const decision: KeyDecision = key === undefined ? { kind: 'invalid' } : await deps.keys.authenticate(key, 'read')
  if (decision.kind !== 'ok') return sendProblem(reply, keyProblems[decision.kind], keyHint(decision.kind))
  const asked = readQuestion(request)
  if ('code' in asked) return sendProblem(reply, asked.code, asked.extra)
  const gated = gate(asked.sql)
  if (!gated.ok) {
    const { code, detail, position } = gated
    return sendProblem(reply, code, position === undefined ? { detail } : { detail, position })
  }
  const bound = bindParameters(gated.parameters, asked.params)
  if (!bound.ok) return sendProblem(reply, 'invalid_field', { detail: bound.detail, pointer: bound.pointer })
  const queryId = randomUUIDv7()
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new Error('the client went away'))
  })
  try {
    const work = () =>
      deps.run({ projectId: decision.projectId, queryId, sql: gated.sql, params: bound.params, signal: gone.signal })
    const found = await deps.bulkhead.run(work, gone.signal)
    deps.metrics.readRows.add(found.stats.readRows)
    return await reply.header('x-cache', 'BYPASS').header('x-query-id', queryId).send(found)
  } catch (error) {
    const problem = toQueryProblem(error)
    if (problem === undefined && !gone.signal.aborted) deps.log.error({ err: error, queryId }, 'query failed')
    return sendProblem(reply, problem?.code ?? 'internal', {
      queryId,
      ...(problem === undefined ? {} : { detail: problem.detail })
    })
  }
}

/** The query of a request: `sql` of the URL, or `{sql, params}` of a JSON body. */
function readQuestion(request: FastifyRequest): { sql: string; params: unknown } | Problem {
  const source: unknown = request.method === 'GET' ? request.query : request.body
  if (typeof source !== 'object' || source === null) {
    return { code: 'invalid_request', extra: { detail: 'send {"sql": "..."} as JSON', pointer: '' } }
  }
  const { sql, params, ...others } = source as Readonly<Record<string, unknown>>
  const [unknownName] = Object.keys(others)
  if (typeof sql !== 'string')
    return { code: 'missing_field', extra: { detail: 'sql must be the text of a query', pointer: '/sql' } }
  if (unknownName !== undefined)
    return { code: 'unknown_field', extra: { detail: 'only sql and params are read', pointer: `/${unknownName}` } }
  if (request.method === 'GET' && params !== undefined) {
    return { code: 'unknown_field', extra: { detail: 'bind values with POST', pointer: '/params' } }
  }
  return { sql, params }
}

function keyHint(kind: 'invalid' | 'forbidden' | 'unavailable'): Readonly<Record<string, unknown>> {
  if (kind === 'invalid') return { detail: 'send a secret key as Authorization: Bearer mr_s_...' }
  return kind === 'forbidden' ? { detail: 'a write key cannot read; use the secret key of the project' } : {}
}
