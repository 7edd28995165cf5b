// The HTTP surface of intake, on the plain request and response of node:http: for one small event the router, the body
// parser and the reply of a framework cost more than all that is done with it. Everything else is the framework's.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '@millrace/kernel'
import { createChildren } from '../metrics.ts'
import { problemReply } from '../reply.ts'
import type { HttpReply } from '../reply.ts'
import { createAnswer } from './answer.ts'
import type { AnswerDeps, Endpoint } from './answer.ts'
import { corsHeaders, preflightHeaders } from './cors.ts'
import { discardRest } from './read-body.ts'
import { bodyLimits } from './receive-body.ts'
import { writeReply } from './write-reply.ts'

export interface IntakeDeps extends AnswerDeps {
  readonly clock: Clock
  /** Aborts when the process stops: a reply then ends its connection, and the client opens one elsewhere. */
  readonly signal: AbortSignal
  /** Told of an error that is a bug; the request is answered with 500. */
  readonly onError: (error: unknown) => void
}

/** Answers a request if its address is one of intake; false leaves it to others. */
export type Intake = (request: IncomingMessage, response: ServerResponse) => boolean

/** The addresses of intake. */
export const intakePaths: Readonly<Record<string, Endpoint>> = {
  '/v1/events': 'events',
  '/v1/events/batch': 'batch',
  '/events': 'events',
  '/collect': 'events'
}

const none: readonly string[] = []
/** The status under which requests are counted whose client left before the end of its body. */
const clientGone = 499

/** The surface over these parts. */
export function createIntake(deps: IntakeDeps): Intake {
  const { clock, metrics, random } = deps
  const endpoints = new Map(Object.entries(intakePaths))
  const finish = { events: createFinish('events', deps), batch: createFinish('batch', deps) }
  const answer = createAnswer(deps)
  return (request, response) => {
    const { url = '' } = request
    const query = url.indexOf('?')
    const endpoint = endpoints.get(query < 0 ? url : url.slice(0, query))
    if (endpoint === undefined) return false
    const startedAtMs = clock.monotonic()
    const end = (reply: HttpReply | undefined): void => finish[endpoint](request, response, reply, startedAtMs)
    if (request.method === 'POST') {
      void answer(endpoint, request).then(end, (error: unknown) => {
        deps.onError(error)
        end(problemReply('internal', {}, random))
      })
    } else if (request.method === 'OPTIONS') {
      const ending = deps.signal.aborted ? ['connection', 'close'] : none
      response.writeHead(204, [...preflightHeaders(request.headers.origin), ...ending]).end()
    } else {
      metrics.rejected.add(1, { code: 'method_not_allowed' })
      end({ ...problemReply('method_not_allowed', {}, random), allow: 'POST, OPTIONS' })
    }
    return true
  }
}

type Finish = (
  request: IncomingMessage,
  response: ServerResponse,
  reply: HttpReply | undefined,
  startedAtMs: number
) => void

/** Counts and writes replies. */
function createFinish(endpoint: Endpoint, { metrics, clock, signal }: IntakeDeps): Finish {
  const countRequest = createChildren((status: number) => metrics.requests.child({ endpoint, status: String(status) }))
  const observeLatency = metrics.latency.child({ endpoint })
  return (request, response, reply, startedAtMs) => {
    countRequest(reply?.status ?? clientGone)
    if (reply === undefined) return
    observeLatency((clock.monotonic() - startedAtMs) / 1_000)
    const { origin } = request.headers
    writeReply(response, reply, origin === undefined ? none : corsHeaders(origin), signal.aborted)
    discardRest(request, bodyLimits.discardBytes)
  }
}
