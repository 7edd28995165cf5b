// POST /v1/events: one event, its bytes read raw, its answer after the log's.
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { apiKeyOf, keyProblems } from '@millrace/contracts'
import type { KeyDecision, ProjectContext } from '@millrace/contracts'
import type { BoundMetrics } from '@millrace/observability'
import type { Clock } from '@millrace/kernel'
import type { AcceptEvents, Acceptance, Origin } from '../acceptance.ts'
import { createChildren } from '../metrics.ts'
import type { gatewayMetrics } from '../metrics.ts'
import { problemReply, toReply } from '../reply.ts'
import type { HttpReply } from '../reply.ts'

/** The key store as the gateway needs it; synchronous while it remembers the key. */
export interface KeyStore {
  authenticate(rawKey: string, need: 'write'): KeyDecision<ProjectContext> | Promise<KeyDecision<ProjectContext>>
}

export interface EventRouteDeps {
  readonly accept: AcceptEvents
  readonly keys: KeyStore
  readonly clock: Clock
  readonly metrics: BoundMetrics<typeof gatewayMetrics>
  /** Aborts when the process stops: a reply then ends its connection, and the client opens one elsewhere. */
  readonly signal: AbortSignal
  /** [0, 1); spreads the repeats of many clients. */
  readonly random: () => number
  readonly collect: { readonly ip: boolean; readonly userAgent: boolean }
}

const endpoint = 'events'
const empty = Buffer.alloc(0)
const maxUserAgentLength = 1_024

/** Adds the route to `app`, whose body parser hands over Buffers. */
export function addEventRoute(app: FastifyInstance, deps: EventRouteDeps): void {
  const { clock, metrics, keys, random, collect } = deps
  const countRequest = createChildren((status: number) => metrics.requests.child({ endpoint, status: String(status) }))
  const observeLatency = metrics.latency.child({ endpoint })
  const count = createAcceptanceCounter(metrics)

  const originOf = (request: FastifyRequest): Origin => ({
    ip: collect.ip ? request.ip : undefined,
    userAgent: collect.userAgent ? request.headers['user-agent']?.slice(0, maxUserAgentLength) : undefined
  })

  const answer = async (request: FastifyRequest): Promise<HttpReply> => {
    const key = apiKeyOf(request.headers)
    const decision = key === undefined ? { kind: 'invalid' as const } : await keys.authenticate(key, 'write')
    if (decision.kind !== 'ok') {
      metrics.rejected.add(1, { code: keyProblems[decision.kind] })
      return problemReply(keyProblems[decision.kind], {}, random)
    }
    const encoding = request.headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity') {
      metrics.rejected.add(1, { code: 'unsupported_media_type' })
      return problemReply('unsupported_media_type', { detail: 'send the body without Content-Encoding' }, random)
    }
    const body = Buffer.isBuffer(request.body) ? request.body : empty
    const [acceptance] = await deps.accept(decision, [body], originOf(request))
    count(acceptance!)
    return toReply(acceptance!, random)
  }

  app.post('/v1/events', async (request, reply) => {
    const startedAt = clock.monotonic()
    const { status, contentType, retryAfter, body } = await answer(request)
    countRequest(status)
    observeLatency((clock.monotonic() - startedAt) / 1_000)
    if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter))
    if (deps.signal.aborted) reply.header('connection', 'close')
    return reply.code(status).header('content-type', contentType).send(body)
  })
}

function createAcceptanceCounter(metrics: BoundMetrics<typeof gatewayMetrics>): (acceptance: Acceptance) => void {
  const reject = createChildren((code: string) => metrics.rejected.child({ code }))
  const retry = createChildren((reason: string) => metrics.unavailable.child({ reason }))
  return (acceptance) => {
    switch (acceptance.kind) {
      case 'accepted':
        return metrics.queued.add(1)
      case 'duplicate':
        return metrics.duplicates.add(1)
      case 'rejected':
        return reject(acceptance.refusal.code)
      case 'retry':
        return retry(acceptance.reason)
    }
  }
}
