// Routes that ask one question of ours go the same way as SQL of a client: options, cache, lane, engine, problems. A route
// says what it asks and what its reply is made of.
import { randomUUIDv7 } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { problemContentType, toProblem } from '@millrace/contracts'
import type { ProblemCode } from '@millrace/contracts'
import { sendProblem } from '@millrace/service'
import type { Priority } from '../bulkhead.ts'
import type { Lease } from '../byte-budget.ts'
import type { Answers, Made } from '../cache/answers.ts'
import type { cacheKeyOf } from '../cache/cache-key.ts'
import type { Kept } from '../cache/freshness.ts'
import { smallBytes } from '../collect-answer.ts'
import type { Engine } from '../engine.ts'
import { toQueryProblem } from '../query-error.ts'
import { readOptions } from '../request-options.ts'
import { toAnswer } from '../run-query.ts'
import type { QueryAnswer } from '../run-query.ts'
import type { TableSchema } from '../table-schema.ts'
import { sendAnswer } from './answer-request.ts'
import type { Caller, RequestDeps } from './answer-request.ts'

/** These answers are taken apart, so they stay below what would keep others waiting. */
const maxResultBytes = 4 * 1024 * 1024

export interface FixedQuestionDeps extends RequestDeps {
  readonly schema: Pick<TableSchema, 'version'>
  readonly answers: Answers
  readonly engine: Engine
  readonly keyOf: typeof cacheKeyOf
}

export interface FixedQuestion {
  /** Names the shape of the reply, with its version: `funnel-1`. */
  readonly kind: string
  /** Ours, not a client's: it does not pass the gate. */
  readonly sql: string
  readonly params: Readonly<Record<string, unknown>>
  /** What else the reply is made of. */
  readonly shown?: unknown
  readonly kept: Kept
  /** The reply as JSON, or why there is nothing: undefined is answered as 404 with `missing`. */
  toReply(answer: QueryAnswer): object | undefined
  readonly missing?: string
}

/** Answers `question`, from the cache where it is there. Throws as `Answers.ask`. */
export async function answerFixed(
  request: FastifyRequest,
  reply: FastifyReply,
  caller: Caller,
  deps: FixedQuestionDeps,
  question: FixedQuestion
): Promise<FastifyReply> {
  const read = readOptions(request.headers)
  if (!read.ok) return sendProblem(reply, 'invalid_request', { detail: read.detail, header: read.header })
  const { schema, answers, engine, keyOf } = deps
  const { projectId, deadlineMs } = caller
  const { priority, use, allowStale } = read.options
  const { kind, sql, params, shown, kept } = question
  caller.note.text = `${kind} ${JSON.stringify(shown ?? params)}`
  const named = shown === undefined ? params : { ...params, '': JSON.stringify(shown) }
  const key = keyOf({ projectId, kind, schemaVersion: schema.version(), format: 'json', sql, params: named })
  const make = async (signal: AbortSignal, given: Priority): Promise<Made> => {
    const queryId = randomUUIDv7()
    const asked = { ...caller, sql, params, signal, queryId, format: 'JSONCompact', priority: given, maxResultBytes }
    let room: Lease | undefined
    try {
      const { body: rows, lease, work } = await engine.ask(asked)
      room = lease
      if (work !== undefined) caller.note.readBytes = work.readBytes
      const shape = question.toReply(toAnswer(rows))
      const body = shape === undefined ? undefined : Buffer.from(JSON.stringify(shape))
      // Of the rows nothing is left when this turn of the loop is over; the reply is sent as long as its client takes.
      if (body !== undefined && body.byteLength > smallBytes) room?.shrink(body.byteLength)
      else {
        room?.release()
        room = undefined
      }
      if (body === undefined) return madeProblem('not_found', { detail: question.missing }, queryId, kept)
      return { status: 200, contentType: 'application/json; charset=utf-8', queryId, body, lease: room, kept }
    } catch (error) {
      room?.release()
      return madeMistake(error, queryId)
    }
  }
  const found = await answers.ask({ projectId, key, priority, deadlineMs, use, allowStale, make }, caller.signal)
  return sendAnswer(reply, found, deps)
}

/** What the engine will refuse again, as a reply that is kept; rethrows everything else. */
export function madeMistake(error: unknown, queryId: string): Made {
  const problem = toQueryProblem(error)
  if (problem === undefined || !problem.isLasting) throw error
  return madeProblem(problem.code, { detail: problem.detail, queryId }, queryId, 'mistake')
}

function madeProblem(code: ProblemCode, extra: Readonly<Record<string, unknown>>, queryId: string, kept: Kept): Made {
  const problem = toProblem(code, extra)
  const contentType = `${problemContentType}; charset=utf-8`
  return { status: problem.status, contentType, queryId, body: Buffer.from(JSON.stringify(problem)), kept }
}
