// From the head of a request to its reply: who sends, whether there is room, the body, its events, what became of them.
// What can be refused by the head is refused before a byte of the body is read.
import type { IncomingMessage } from 'node:http'
import { apiKeyOf } from '@millrace/contracts'
import type { ProblemCode, ProjectContext } from '@millrace/contracts'
import type { BoundMetrics } from '@millrace/observability'
import type { AcceptEvents, Origin } from '../acceptance.ts'
import type { Admission } from '../admission.ts'
import { createAcceptanceCounter } from '../metrics.ts'
import type { gatewayMetrics } from '../metrics.ts'
import type { RateLimiter } from '../rate-limiter.ts'
import { problemReply, toBatchReply, toReply } from '../reply.ts'
import type { HttpReply } from '../reply.ts'
import { isNdjson, maxBatchEvents, openEnvelope, splitLines } from './batch-body.ts'
import type { BrokenEnvelope, Envelope } from './batch-body.ts'
import { claimedId } from './claimed-id.ts'
import { originOf } from './origin.ts'
import type { OriginSettings } from './origin.ts'
import { bodyLimits, readHead, receiveBody } from './receive-body.ts'
import { whoSends } from './who.ts'
import type { KeySource, KeyStore, Who } from './who.ts'

/** `events`: one event a request; `batch`: many. */
export type Endpoint = 'events' | 'batch'

export interface AnswerDeps extends OriginSettings {
  readonly accept: AcceptEvents
  readonly keys: KeyStore
  readonly admission: Pick<Admission, 'enter'>
  readonly limiter: Pick<RateLimiter, 'exhausted'>
  readonly metrics: BoundMetrics<typeof gatewayMetrics>
  /** [0, 1); spreads the repeats of many clients. */
  readonly random: () => number
  readonly maxEventBytes: number
  /** Origins whose pages may send for projects that name none. */
  readonly corsOrigins: readonly string[]
}

/** The reply to a request; undefined when its client left before the end of the body. */
export type Answer = (endpoint: Endpoint, request: IncomingMessage) => Promise<HttpReply | undefined>

const noKey = 'send the key as Authorization: Bearer or X-API-Key, or as writeKey beside event or events in the body'
const linesElsewhere = 'NDJSON is a batch: send it to /v1/events/batch'

/** The way of a request over these parts. */
export function createAnswer(deps: AnswerDeps): Answer {
  const { metrics, random, admission, limiter } = deps
  const refuse = createRefuse(deps)
  const findOut = (source: KeySource): Who | Promise<Who> => whoSends(deps.keys, source, deps.corsOrigins)
  const later = (code: 'unavailable' | 'rate_limited', reason: string, retryAfterMs: number): HttpReply => {
    metrics.unavailable.add(1, { reason })
    return problemReply(code, {}, random, retryAfterMs)
  }
  const limit = (project: ProjectContext): HttpReply | undefined => {
    const limited = limiter.exhausted(project)
    return limited === undefined ? undefined : later('rate_limited', 'rate_limited', limited.retryAfterMs)
  }
  const take = createTake(deps, { refuse, findOut, limit })
  return async (endpoint, request) => {
    const { headers } = request
    const key = apiKeyOf(headers)
    let project: ProjectContext | undefined
    if (key !== undefined) {
      const asked = findOut({ key, inBody: false, origin: headers.origin })
      const who = asked instanceof Promise ? await asked : asked
      if (!who.ok) return refuse(who.code, who.detail)
      project = who.project
    }
    const lines = isNdjson(headers['content-type'])
    if (lines && endpoint === 'events') return refuse('unsupported_media_type', linesElsewhere)
    const maxBytes = endpoint === 'batch' ? bodyLimits.batchBytes : deps.maxEventBytes * bodyLimits.readFactor
    const head = readHead(headers, project === undefined ? bodyLimits.keylessBytes : maxBytes)
    if (head.kind === 'refused')
      return project === undefined ? refuse('unauthorized', noKey) : refuse(head.code, head.detail)

    const limited = project === undefined ? undefined : limit(project)
    if (limited !== undefined) return limited
    const entered = admission.enter(project?.projectId, head.expectedBytes)
    if (entered.kind === 'turned-away') return later('unavailable', entered.reason, entered.retryAfterMs)
    try {
      const received = await receiveBody(request, head, entered)
      if (received.kind === 'gone') return undefined
      if (received.kind === 'turned-away') return later('unavailable', received.reason, received.retryAfterMs)
      if (received.kind === 'refused') {
        return project === undefined ? refuse('unauthorized', noKey) : refuse(received.code, received.detail)
      }
      return await take(endpoint, request, project, lines, received.body)
    } finally {
      entered.release()
    }
  }
}

type Refuse = (code: ProblemCode, detail?: string, pointer?: string) => HttpReply

function createRefuse({ metrics, random }: AnswerDeps): Refuse {
  return (code, detail, pointer) => {
    metrics.rejected.add(1, { code })
    // JSON leaves out what is undefined.
    return problemReply(code, { pointer, detail }, random)
  }
}

type Take = (
  endpoint: Endpoint,
  request: IncomingMessage,
  project: ProjectContext | undefined,
  lines: boolean,
  body: Buffer
) => Promise<HttpReply>

interface Judges {
  readonly refuse: Refuse
  readonly findOut: (source: KeySource) => Who | Promise<Who>
  /** The reply while not one event of the project would pass. */
  readonly limit: (project: ProjectContext) => HttpReply | undefined
}

/** What is done with a whole body. */
function createTake(deps: AnswerDeps, { refuse, findOut, limit }: Judges): Take {
  const { accept, random } = deps
  const count = createAcceptanceCounter(deps.metrics)
  const takeSingle = async (project: ProjectContext, body: Buffer, origin: Origin): Promise<HttpReply> => {
    const [acceptance] = await accept(project, [body], origin)
    count(acceptance!)
    return toReply(acceptance!, random)
  }
  const takeBatch = async (project: ProjectContext, opened: Envelope | BrokenEnvelope, origin: Origin) => {
    if (!opened.ok) return refuse(opened.code, opened.detail, opened.pointer)
    const { bodies } = opened
    const acceptances = await accept(project, bodies, withSentAt(origin, opened))
    for (const acceptance of acceptances) count(acceptance)
    return toBatchReply(acceptances, (index) => claimedId(bodies[index]!), random)
  }
  /** A body that brings its key: what a page sends when it may be about to end, and can set no headers. */
  const takeKeyed = async (endpoint: Endpoint, body: Buffer, origin: Origin, page: string | undefined) => {
    const opened = openEnvelope(body, maxBatchEvents)
    if (!opened.ok || opened.writeKey === undefined) return refuse('unauthorized', noKey)
    const who = await findOut({ key: opened.writeKey, inBody: true, origin: page })
    if (!who.ok) return refuse(who.code, who.detail)
    const limited = limit(who.project)
    if (limited !== undefined) return limited
    if (!opened.single || endpoint === 'batch') return await takeBatch(who.project, opened, origin)
    return await takeSingle(who.project, opened.bodies[0]!, withSentAt(origin, opened))
  }
  return async (endpoint, request, project, lines, body) => {
    const origin = originOf(request, deps)
    if (project === undefined) return await takeKeyed(endpoint, body, origin, request.headers.origin)
    if (endpoint === 'events') return await takeSingle(project, body, origin)
    const opened = lines ? splitLines(body, maxBatchEvents) : openEnvelope(body, maxBatchEvents)
    return await takeBatch(project, opened, origin)
  }
}

function withSentAt(origin: Origin, { sentAt }: Envelope): Origin {
  return sentAt === undefined ? origin : { ...origin, sentAt }
}
