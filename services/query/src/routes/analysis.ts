// Questions that dashboards ask, without SQL: a user's timeline, funnels, retention, the most frequent values.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError, isTransient } from '@millrace/kernel'
import { sendProblem } from '@millrace/service'
import { WrongInput } from '../analysis/input.ts'
import { funnelQuery, funnelUntilMs, readFunnel, toFunnel } from '../analysis/funnel.ts'
import type { PersonReader } from '../analysis/persons.ts'
import { readRetention, retentionQuery, retentionUntilMs, toRetention } from '../analysis/retention.ts'
import { readTimeline, timelineQuery, toTimeline } from '../analysis/timeline.ts'
import { readTop, toTop, topQuery } from '../analysis/top.ts'
import { keptUntil } from '../cache/freshness.ts'
import { tooLong } from '../parameters.ts'
import { handler } from './answer-request.ts'
import type { Caller } from './answer-request.ts'
import { answerFixed } from './fixed-question.ts'
import type { FixedQuestion, FixedQuestionDeps } from './fixed-question.ts'

export interface AnalysisRouteDeps extends FixedQuestionDeps {
  readonly persons: PersonReader
}

type Understand = (
  request: FastifyRequest,
  nowMs: number,
  caller: Caller,
  deps: AnalysisRouteDeps
) => FixedQuestion | Promise<FixedQuestion>

/** Adds the routes to `app`. */
export function addAnalysisRoutes(app: FastifyInstance, deps: AnalysisRouteDeps): void {
  const handle = (endpoint: string, understand: Understand) =>
    handler(deps, endpoint, (request, reply, caller) => answer(request, reply, caller, deps, understand))
  app.get('/v1/users/:userId/events', handle('/v1/users/:userId/events', timeline))
  app.post('/v1/funnels', handle('/v1/funnels', funnel))
  app.get('/v1/retention', handle('/v1/retention', retention))
  app.get('/v1/top/:dimension', handle('/v1/top/:dimension', top))
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  caller: Caller,
  deps: AnalysisRouteDeps,
  understand: Understand
): Promise<FastifyReply> {
  let question: FixedQuestion
  try {
    question = await understand(request, deps.clock.now(), caller, deps)
  } catch (error) {
    if (error instanceof WrongInput) return sendProblem(reply, error.code, placeOf(error, request.method === 'GET'))
    if (!(error instanceof AppError) || !isTransient(error)) throw error
    return sendProblem(reply, 'unavailable', { detail: 'it is not known who is one person; identity=raw can be asked' })
  }
  const detail = tooLong(question.params)
  if (detail !== undefined) return sendProblem(reply, 'invalid_field', { detail, pointer: '' })
  return await answerFixed(request, reply, caller, deps, question)
}

/** In an address the first part of the pointer is the parameter. */
function placeOf({ pointer, message: detail }: WrongInput, isAddress: boolean): Readonly<Record<string, unknown>> {
  return { detail, pointer, ...(isAddress ? { parameter: pointer.split('/')[1] ?? '' } : {}) }
}

const timeline: Understand = async (request, nowMs, { projectId }, { persons }) => {
  const { userId } = request.params as { readonly userId: string }
  const question = readTimeline(userId, request.query, nowMs)
  const person = question.identity === 'raw' ? undefined : (await persons.of(projectId)).personOf(userId)
  const personIds = person === undefined ? [] : [...new Set([person.personId, ...person.userIds])]
  return {
    kind: 'timeline-1',
    ...timelineQuery(question, personIds),
    shown: [userId, person?.personId],
    kept: keptUntil(question.span.toMs, nowMs),
    toReply: (found) => toTimeline(question, person?.personId, found)
  }
}

const funnel: Understand = (request, nowMs) => {
  const question = readFunnel(request.body, nowMs)
  return {
    kind: 'funnel-1',
    ...funnelQuery(question),
    shown: question,
    kept: keptUntil(funnelUntilMs(question), nowMs),
    toReply: (found) => toFunnel(question, found)
  }
}

const retention: Understand = (request, nowMs) => {
  const question = readRetention(request.query, nowMs)
  return {
    kind: 'retention-1',
    ...retentionQuery(question),
    shown: question,
    kept: keptUntil(retentionUntilMs(question), nowMs),
    toReply: (found) => toRetention(question, found, nowMs)
  }
}

const top: Understand = (request, nowMs) => {
  const { dimension } = request.params as { readonly dimension: string }
  const question = readTop(dimension, request.query, nowMs)
  return {
    kind: 'top-1',
    ...topQuery(question),
    shown: question,
    kept: keptUntil(question.span.toMs, nowMs),
    toReply: (found) => toTop(question, found)
  }
}
