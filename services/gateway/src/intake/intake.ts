// The HTTP surface of intake, on the plain request and response of node:http: for one small event the router, the body
// parser and the reply of a framework cost more than all that is done with it. Everything else is the framework's.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { apiKeyOf } from '@millrace/contracts'
import type { ProblemCode, ProjectContext } from '@millrace/contracts'
import type { BoundMetrics } from '@millrace/observability'
import type { Clock } from '@millrace/kernel'
import type { AcceptEvents, Origin } from '../acceptance.ts'
import { createAcceptanceCounter, createChildren } from '../metrics.ts'
import type { gatewayMetrics } from '../metrics.ts'
import { problemReply, toBatchReply, toReply } from '../reply.ts'
import type { HttpReply } from '../reply.ts'
import { openEnvelope, splitLines } from './batch-body.ts'
import type { BrokenEnvelope, Envelope } from './batch-body.ts'
import { bodyLimits, discardRest, receiveBody } from './receive-body.ts'
import { corsHeaders, preflightHeaders } from './cors.ts'
import { claimedId } from './claimed-id.ts'
import { whoSends } from './who.ts'
import type { KeyStore, Who } from './who.ts'
import { writeReply } from './write-reply.ts'

export interface IntakeDeps {
  readonly accept: AcceptEvents
  readonly keys: KeyStore
  readonly clock: Clock
  readonly metrics: BoundMetrics<typeof gatewayMetrics>
  /** Aborts when the process stops: a reply then ends its connection, and the client opens one elsewhere. */
  readonly signal: AbortSignal
  /** [0, 1); spreads the repeats of many clients. */
  readonly random: () => number
  readonly collect: { readonly ip: boolean; readonly userAgent: boolean }
  /** Take the address of the client from X-Forwarded-For. */
  readonly trustProxy: boolean
  readonly maxEventBytes: number
  /** Origins whose pages may send for projects that name none. */
  readonly corsOrigins: readonly string[]
  /** Told of an error that is a bug; the request is answered with 500. */
  readonly onError: (error: unknown) => void
}

/** Answers a request if its address is one of intake; false leaves it to others. */
export type Intake = (request: IncomingMessage, response: ServerResponse) => boolean

type Endpoint = 'events' | 'batch'

/** The addresses of intake. */
export const intakePaths: Readonly<Record<string, Endpoint>> = {
  '/v1/events': 'events',
  '/v1/events/batch': 'batch',
  '/events': 'events',
  '/collect': 'events'
}

/** Events of a batch at most. */
export const maxBatchEvents = 1_000

const none: readonly string[] = []
const noKey = 'send the key as Authorization: Bearer or X-API-Key, or as writeKey beside event or events in the body'

/** The surface over these parts. */
export function createIntake(deps: IntakeDeps): Intake {
  const { clock, metrics, random } = deps
  const routes = new Map(Object.entries(intakePaths))
  const finish = {
    events: createFinish('events', deps),
    batch: createFinish('batch', deps)
  }
  const answer = createAnswer(deps)
  return (request, response) => {
    const { url = '' } = request
    const query = url.indexOf('?')
    const endpoint = routes.get(query < 0 ? url : url.slice(0, query))
    if (endpoint === undefined) return false
    const startedAtMs = clock.monotonic()
    const end = (reply: HttpReply | undefined): void => finish[endpoint](request, response, reply, startedAtMs)
    if (request.method === 'POST') {
      void answer(endpoint, request).then(end, (error: unknown) => {
        deps.onError(error)
        end(problemReply('internal', {}, random))
      })
    } else if (request.method === 'OPTIONS') {
      response.writeHead(204, [...preflightHeaders(request.headers.origin)]).end()
    } else {
      metrics.rejected.add(1, { code: 'method_not_allowed' })
      end({ ...problemReply('method_not_allowed', {}, random), allow: 'POST, OPTIONS' })
    }
    return true
  }
}

/** Counts and writes replies; undefined: the client has gone. */
function createFinish(endpoint: Endpoint, { metrics, clock, signal }: IntakeDeps) {
  const countRequest = createChildren((status: number) => metrics.requests.child({ endpoint, status: String(status) }))
  const observeLatency = metrics.latency.child({ endpoint })
  return (request: IncomingMessage, response: ServerResponse, reply: HttpReply | undefined, startedAtMs: number) => {
    countRequest(reply?.status ?? clientGone)
    if (reply === undefined) return
    observeLatency((clock.monotonic() - startedAtMs) / 1_000)
    const { origin } = request.headers
    writeReply(response, reply, origin === undefined ? none : corsHeaders(origin), signal.aborted)
    discardRest(request, bodyLimits.discardBytes)
  }
}

/** The status under which requests are counted whose client left before the end of its body. */
const clientGone = 499

type Answer = (endpoint: Endpoint, request: IncomingMessage) => Promise<HttpReply | undefined>

function createAnswer(deps: IntakeDeps): Answer {
  const { accept, keys, metrics, random, corsOrigins } = deps
  const count = createAcceptanceCounter(metrics)
  const refuse = (code: ProblemCode, extra: Readonly<Record<string, unknown>> = {}): HttpReply => {
    metrics.rejected.add(1, { code })
    return problemReply(code, extra, random)
  }
  const refuseWho = (who: Who & { readonly ok: false }): HttpReply =>
    refuse(who.code, who.detail === undefined ? {} : { detail: who.detail })

  const takeSingle = async (project: ProjectContext, body: Buffer, origin: Origin): Promise<HttpReply> => {
    const [acceptance] = await accept(project, [body], origin)
    count(acceptance!)
    return toReply(acceptance!, random)
  }
  const takeBatch = async (
    project: ProjectContext,
    opened: Envelope | BrokenEnvelope,
    origin: Origin
  ): Promise<HttpReply> => {
    if (!opened.ok) return refuse(opened.code, { pointer: opened.pointer, detail: opened.detail })
    const { bodies, sentAt } = opened
    const acceptances = await accept(project, bodies, sentAt === undefined ? origin : { ...origin, sentAt })
    for (const acceptance of acceptances) count(acceptance)
    return toBatchReply(acceptances, (index) => claimedId(bodies[index]!), random)
  }
  /** A body that brings its key: what a page sends with its last breath, when it can set no headers. */
  const takeKeyed = async (endpoint: Endpoint, body: Buffer, origin: Origin, page: string | undefined) => {
    const opened = openEnvelope(body, maxBatchEvents)
    if (!opened.ok || opened.writeKey === undefined) return refuse('unauthorized', { detail: noKey })
    const who = await whoSends(keys, { key: opened.writeKey, inBody: true, origin: page }, corsOrigins)
    if (!who.ok) return refuseWho(who)
    const sent = opened.sentAt === undefined ? origin : { ...origin, sentAt: opened.sentAt }
    const single = opened.single && endpoint === 'events'
    return single
      ? await takeSingle(who.project, opened.bodies[0]!, sent)
      : await takeBatch(who.project, opened, origin)
  }

  return async (endpoint, request) => {
    const { headers } = request
    const page = headers.origin
    const key = apiKeyOf(headers)
    let project: ProjectContext | undefined
    if (key !== undefined) {
      const asked = whoSends(keys, { key, inBody: false, origin: page }, corsOrigins)
      const who = asked instanceof Promise ? await asked : asked
      if (!who.ok) return refuseWho(who)
      project = who.project
    }
    const lines = isNdjson(headers['content-type'])
    if (lines && endpoint === 'events') return refuse('unsupported_media_type', { detail: linesElsewhere })
    const maxBytes = endpoint === 'batch' ? bodyLimits.batchBytes : deps.maxEventBytes * bodyLimits.readFactor
    const received = await receiveBody(request, project === undefined ? bodyLimits.keylessBytes : maxBytes)
    if (received.kind === 'gone') return undefined
    if (received.kind === 'refused') {
      if (project === undefined) return refuse('unauthorized', { detail: noKey })
      return refuse(received.code, { detail: received.detail })
    }
    const { body } = received
    const origin = originOf(request, deps)
    if (project === undefined) return await takeKeyed(endpoint, body, origin, page)
    if (endpoint === 'events') return await takeSingle(project, body, origin)
    return await takeBatch(
      project,
      lines ? splitLines(body, maxBatchEvents) : openEnvelope(body, maxBatchEvents),
      origin
    )
  }
}

const linesElsewhere = 'NDJSON is a batch: send it to /v1/events/batch'
const maxUserAgentLength = 1_024
const nowhere: Origin = {}

function originOf(request: IncomingMessage, { collect, trustProxy }: IntakeDeps): Origin {
  if (!collect.ip && !collect.userAgent) return nowhere
  return {
    ip: collect.ip ? addressOf(request, trustProxy) : undefined,
    userAgent: collect.userAgent ? request.headers['user-agent']?.slice(0, maxUserAgentLength) : undefined
  }
}

/** The address of the client; behind a proxy the first one that X-Forwarded-For names. */
function addressOf({ headers, socket }: IncomingMessage, trustProxy: boolean): string | undefined {
  const forwarded = trustProxy ? headers['x-forwarded-for'] : undefined
  const first = (Array.isArray(forwarded) ? forwarded[0] : forwarded)?.split(',', 1)[0]?.trim()
  return first === undefined || first === '' ? socket.remoteAddress : first.slice(0, 64)
}

const ndjsonTypes: ReadonlySet<string> = new Set(['application/x-ndjson', 'application/ndjson', 'application/jsonl'])

function isNdjson(contentType: string | undefined): boolean {
  if (contentType === undefined || contentType === 'application/json') return false
  return ndjsonTypes.has((contentType.split(';', 1)[0] ?? '').trim().toLowerCase())
}
