// What all routes share: measured, ended when the client goes away or its time is over, and answered with a problem for
// whatever goes wrong.
import { finished } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import { sendProblem } from '@millrace/service'
import type { AuditLog, AuditedQuestion } from '../audit/audit-log.ts'
import type { Lease } from '../byte-budget.ts'
import type { Reply } from '../cache/answers.ts'
import type { queryMetrics } from '../metrics.ts'
import { toQueryProblem } from '../query-error.ts'
import { readerOf } from './credential.ts'
import type { Reader, ReadKeyStore } from './credential.ts'

export interface RequestDeps {
  readonly keys: ReadKeyStore
  readonly metrics: BoundMetrics<typeof queryMetrics>
  readonly log: Logger
  readonly clock: Clock
  /** Longest time of a question, ms. */
  readonly timeoutMs: number
  readonly audit?: Pick<AuditLog, 'add'>
}

/** What a route is given: who asks, until when, and what tells it that nobody waits any more. */
export interface Caller {
  readonly projectId: string
  /** On the monotonic clock. */
  readonly deadlineMs: number
  readonly signal: AbortSignal
  /** What the route found out for the audit. */
  readonly note: Note
}

/** `text` undefined: nothing was asked. */
export interface Note {
  text?: string
  readBytes?: number
}

/** Of what takes longer than it may nobody hears within this time more. */
const graceMs = 2_000

/** The handler of a route: `answer` sends the reply, or throws. */
export function handler(
  deps: RequestDeps,
  endpoint: string,
  answer: (request: FastifyRequest, reply: FastifyReply, caller: Caller) => Promise<FastifyReply>
): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> {
  const { keys, metrics, log, clock } = deps
  return async (request, reply) => {
    const startedAtMs = clock.monotonic()
    const over = new AbortController()
    const onClose = (): void => {
      if (!reply.raw.writableFinished) over.abort(new Error('the client went away'))
    }
    reply.raw.once('close', onClose)
    const timeoutMs = timeoutOf(request, deps.timeoutMs)
    using _timer = clock.timer(timeoutMs + graceMs, () =>
      over.abort(new AppError('PIPE_DEADLINE', `no answer within ${timeoutMs} ms`))
    )
    const note: Note = {}
    let reader: Reader | undefined
    try {
      reader = await readerOf(keys, request, reply)
      if (reader === undefined) return reply
      const { projectId } = reader
      const caller = { projectId, deadlineMs: startedAtMs + timeoutMs, signal: over.signal, note }
      return await answer(request, reply, caller)
    } catch (error) {
      const problem = toQueryProblem(error)
      if (problem === undefined && !over.signal.aborted) log.error({ err: error, endpoint }, 'request failed')
      if (problem === undefined) return sendProblem(reply, 'internal')
      const { code, detail, more, retryAfterMs } = problem
      if (retryAfterMs !== undefined) reply.header('retry-after', String(Math.ceil(retryAfterMs / 1_000)))
      return sendProblem(reply, code, { detail, ...more })
    } finally {
      const tookMs = clock.monotonic() - startedAtMs
      const isGone = over.signal.aborted && !(over.signal.reason instanceof AppError)
      const status = isGone ? goneStatus : reply.statusCode
      if (reader !== undefined && note.text !== undefined)
        deps.audit?.add(toAudited(endpoint, reader, note, { reply, status, tookMs }))
      metrics.latency.observe(tookMs / 1_000, { endpoint })
      metrics.requests.add(1, { endpoint, status: String(reply.statusCode) })
    }
  }
}

/** Of a client that did not wait, as others write it. */
const goneStatus = 499

function toAudited(
  endpoint: string,
  { projectId, keyId = '' }: Reader,
  { text, readBytes }: Note,
  { reply, status, tookMs }: { readonly reply: FastifyReply; readonly status: number; readonly tookMs: number }
): AuditedQuestion {
  const header = (name: string): string => String(reply.getHeader(name) ?? '')
  const from = { cache: header('x-cache'), queryId: header('x-query-id') }
  return { projectId, keyId, endpoint, text: text ?? '', status, readBytes, tookMs, ...from }
}

/** Sends what the cache or the engine gave. */
export function sendAnswer(
  reply: FastifyReply,
  { status, contentType, queryId, body, use, ageMs, lease }: Reply,
  { metrics, clock }: Pick<RequestDeps, 'metrics' | 'clock'>
): FastifyReply {
  endInTime(reply, lease, clock)
  metrics.cache.add(1, { use: use.toLowerCase() })
  if (use === 'HIT' || use === 'STALE') reply.header('age', String(Math.floor(ageMs / 1_000)))
  return reply
    .code(status)
    .header('x-cache', use)
    .header('x-query-id', queryId)
    .header('content-type', contentType)
    .send(body)
}

/** A client that reads slowly must not keep the memory of an answer for ever. */
const longestSendMs = 60_000

function endInTime({ raw }: FastifyReply, lease: Lease | undefined, clock: Clock): void {
  let isOver = false
  const end = (): void => {
    timer[Symbol.dispose]()
    if (!isOver) lease?.release()
    isOver = true
  }
  const timer = clock.timer(longestSendMs, () => {
    raw.destroy()
    end()
  })
  finished(raw, end)
}

function timeoutOf(request: FastifyRequest, mostMs: number): number {
  const asked = Number(request.headers['x-timeout-ms'])
  return asked > 0 ? Math.min(asked, mostMs) : mostMs
}
