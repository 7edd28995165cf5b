// GET and POST /v1/query: what is asked, and the answer or a problem that says what to change.
import { randomUUIDv7 } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ProblemCode } from '@millrace/contracts'
import { sendProblem } from '@millrace/service'
import type { Priority } from '../bulkhead.ts'
import type { Lease } from '../byte-budget.ts'
import type { cacheKeyOf } from '../cache/cache-key.ts'
import type { Answers, Made } from '../cache/answers.ts'
import { settledMs } from '../cache/freshness.ts'
import type { Kept } from '../cache/freshness.ts'
import type { Engine } from '../engine.ts'
import { bindParameters, readTexts } from '../parameters.ts'
import { readOptions } from '../request-options.ts'
import type { AnswerForm, RequestOptions } from '../request-options.ts'
import { toJsonAnswer } from '../json-answer.ts'
import type { Gated } from '../sql/gate.ts'
import type { TableSchema } from '../table-schema.ts'
import { isOverBefore } from '../sql/time-range.ts'
import { createWholeLines } from '../whole-lines.ts'
import { handler, sendAnswer } from './answer-request.ts'
import type { Caller, Note, RequestDeps } from './answer-request.ts'
import { madeMistake } from './fixed-question.ts'

export interface QueryRouteDeps extends RequestDeps {
  readonly gate: (sql: string) => Gated
  readonly answers: Answers
  readonly engine: Engine
  readonly schema: Pick<TableSchema, 'version'>
  readonly keyOf: typeof cacheKeyOf
  /** Most rows of an answer sent as NDJSON. */
  readonly streamMaxRows: number
}

interface Problem {
  readonly code: ProblemCode
  readonly extra: Readonly<Record<string, unknown>>
}

/** A question that may be asked. */
interface Asked {
  readonly sql: string
  readonly params: Readonly<Record<string, unknown>>
  /** Whether the time that it is about is over. */
  readonly isOver: boolean
}

const endpoint = '/v1/query'

/** Media type of each form, and the format of ClickHouse that makes it. */
const forms: Readonly<Record<AnswerForm, { readonly contentType: string; readonly format: string }>> = {
  json: { contentType: 'application/json; charset=utf-8', format: 'JSONCompact' },
  csv: { contentType: 'text/csv; charset=utf-8; header=present', format: 'CSVWithNames' },
  ndjson: { contentType: 'application/x-ndjson; charset=utf-8', format: 'JSONEachRow' }
}

/** Adds the query routes to `app`. */
export function addQueryRoutes(app: FastifyInstance, deps: QueryRouteDeps): void {
  const handle = handler(deps, endpoint, (request, reply, caller) => answer(request, reply, caller, deps))
  app.get(endpoint, handle)
  app.post(endpoint, handle)
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  caller: Caller,
  deps: QueryRouteDeps
): Promise<FastifyReply> {
  const read = readOptions(request.headers)
  if (!read.ok) return sendProblem(reply, 'invalid_request', { detail: read.detail, header: read.header })
  const asked = understand(request, deps, caller.note)
  if ('code' in asked) return sendProblem(reply, asked.code, asked.extra)
  if (read.options.form === 'ndjson') return await sendRows(reply, caller, asked, { ...deps, options: read.options })
  const { form, priority, use, allowStale } = read.options
  const { projectId } = caller
  const { sql, params } = asked
  const { contentType: format } = forms[form]
  const key = deps.keyOf({ projectId, kind: 'sql-1', schemaVersion: deps.schema.version(), sql, params, format })
  const make = (signal: AbortSignal, given: Priority): Promise<Made> =>
    ask(asked, form, { ...caller, signal }, given, deps)
  const question = { projectId, key, priority, deadlineMs: caller.deadlineMs, use, allowStale, make }
  const found = await deps.answers.ask(question, caller.signal)
  return sendAnswer(reply, found, deps)
}

/** Asks the engine; a mistake of the query is an answer, too, which it will get again. */
async function ask(
  asked: Asked,
  form: AnswerForm,
  caller: Caller,
  priority: Priority,
  deps: QueryRouteDeps
): Promise<Made> {
  const queryId = randomUUIDv7()
  const { sql, params } = asked
  const { contentType, format } = forms[form]
  let room: Lease | undefined
  try {
    const { note } = caller
    const { body: raw, lease, work } = await deps.engine.ask({ ...caller, queryId, sql, params, format, priority })
    room = lease
    if (work !== undefined) note.readBytes = work.readBytes
    const kept: Kept = asked.isOver ? 'closed' : 'open'
    if (form !== 'json') return { status: 200, contentType, queryId, body: raw, lease, kept }
    const { body, stats } = toJsonAnswer(raw)
    deps.metrics.readRows.add(stats.readRows)
    return { status: 200, contentType, queryId, body, lease, kept }
  } catch (error) {
    room?.release()
    return madeMistake(error, queryId)
  }
}

/** Rows as they come: one line each. What breaks off is not whole. */
async function sendRows(
  reply: FastifyReply,
  caller: Caller,
  { sql, params }: Asked,
  { engine, metrics, options, streamMaxRows }: QueryRouteDeps & { readonly options: RequestOptions }
): Promise<FastifyReply> {
  const queryId = randomUUIDv7()
  const { contentType, format } = forms.ndjson
  const asked = { ...caller, queryId, sql, params, format, priority: options.priority }
  const rows = await engine.stream(asked, streamMaxRows)
  const whole = createWholeLines()
  // Either one's end is the other's; the reply sees what went wrong.
  pipeline(rows, whole).catch(() => undefined)
  metrics.cache.add(1, { use: 'bypass' })
  return await reply.header('x-cache', 'BYPASS').header('x-query-id', queryId).type(contentType).send(whole)
}

/** The question of a request, through the gate. */
function understand(request: FastifyRequest, { gate, clock }: QueryRouteDeps, note: Note): Asked | Problem {
  const read = readQuestion(request)
  if ('code' in read) return read
  note.text = read.sql
  const gated = gate(read.sql)
  if (!gated.ok) {
    const { code, detail, position } = gated
    return { code, extra: position === undefined ? { detail } : { detail, position } }
  }
  const { texts } = read
  const bound = bindParameters(gated.parameters, texts === undefined ? read.params : readTexts(gated.parameters, texts))
  if (!bound.ok) return { code: 'invalid_field', extra: { detail: bound.detail, pointer: bound.pointer } }
  const isOver = isOverBefore(gated.ends, bound.params, clock.now() - settledMs)
  return { sql: gated.sql, params: bound.params, isOver }
}

interface Read {
  readonly sql: string
  readonly params?: unknown
  /** Of a URL instead of `params`. */
  readonly texts?: Readonly<Record<string, unknown>>
}

/** The query of a request: `sql` and `param_<name>` of the URL, or `{sql, params}` of a JSON body. */
function readQuestion(request: FastifyRequest): Read | Problem {
  const isGet = request.method === 'GET'
  const source: unknown = isGet ? request.query : request.body
  if (typeof source !== 'object' || source === null) {
    return { code: 'invalid_request', extra: { detail: 'send {"sql": "..."} as JSON', pointer: '' } }
  }
  const { sql, ...others } = source as Readonly<Record<string, unknown>>
  if (typeof sql !== 'string')
    return { code: 'missing_field', extra: { detail: 'sql must be the text of a query', pointer: '/sql' } }
  const isKnown = (name: string): boolean => (isGet ? name.startsWith('param_') : name === 'params')
  const unknown = Object.keys(others).find((name) => !isKnown(name))
  if (unknown !== undefined) {
    const detail = isGet ? 'only sql and param_<name> are read' : 'only sql and params are read'
    return { code: 'unknown_field', extra: { detail, pointer: `/${unknown}` } }
  }
  if (!isGet) return { sql, params: others['params'] }
  return { sql, texts: Object.fromEntries(Object.entries(others).map(([name, value]) => [name.slice(6), value])) }
}
