// POST /v1/tickets: a ticket for a secret key. POST /demo/ticket: a ticket for the page of a local demo, without a key.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { apiKeyOf, keyProblems, liveKinds } from '@millrace/contracts'
import type { KeyDecision, LiveGrant, LiveKind, ProjectContext } from '@millrace/contracts'
import { isTransient } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import { sendProblem } from '@millrace/service'
import type { realtimeMetrics } from './metrics.ts'
import type { Tickets } from './tickets.ts'

/** The project of a key, and its name. */
type ReadKey = ProjectContext & { readonly keyId: string }

/** The key store as this service needs it. */
export interface ReadKeyStore {
  authenticate(rawKey: string, need: 'read'): KeyDecision<ReadKey> | Promise<KeyDecision<ReadKey>>
}

export interface TicketRouteDeps {
  readonly keys: ReadKeyStore
  readonly tickets: Pick<Tickets, 'issue'>
  readonly ticketTtlMs: number
  /** Origins for projects that name none. */
  readonly corsOrigins: readonly string[]
  /** Project of the demo page; undefined: there is no demo. */
  readonly demoProject: string | undefined
  readonly metrics: BoundMetrics<typeof realtimeMetrics>
}

const secretInPage = 'a page must not have a secret key: let your own server ask for the ticket'

/** Adds the routes to `app`. */
export function addTicketRoutes(app: FastifyInstance, deps: TicketRouteDeps): void {
  app.post('/v1/tickets', async (request, reply) => {
    await answer(request, reply, deps)
    deps.metrics.tickets.add(1, { status: String(reply.statusCode) })
    return reply
  })
  const { demoProject } = deps
  if (demoProject === undefined) return
  app.post('/demo/ticket', async (request, reply) => {
    if (!isOwnPage(request)) return sendProblem(reply, 'forbidden', { detail: 'this is for the page of this service' })
    return await issue(reply, deps, { projectId: demoProject, allow: liveKinds, personal: true, origins: [] })
  })
}

async function answer(request: FastifyRequest, reply: FastifyReply, deps: TicketRouteDeps): Promise<FastifyReply> {
  const key = apiKeyOf(request.headers)
  const decision = key === undefined ? ({ kind: 'invalid' } as const) : await deps.keys.authenticate(key, 'read')
  if (decision.kind !== 'ok') {
    const detail = decision.kind === 'invalid' ? { detail: 'send a secret key as Authorization: Bearer mr_s_...' } : {}
    return sendProblem(reply, keyProblems[decision.kind], detail)
  }
  if (request.headers.origin !== undefined) return sendProblem(reply, 'forbidden', { detail: secretInPage })
  const allow = toAllowed(request.body)
  if (allow === undefined) {
    return sendProblem(reply, 'invalid_field', {
      pointer: '/allow',
      detail: `allow must be a list of ${liveKinds.join(', ')}; leave it out for all of them`
    })
  }
  const { corsOrigins, personalInFeed = false } = decision.settings
  return await issue(reply, deps, {
    projectId: decision.projectId,
    keyId: decision.keyId,
    allow,
    personal: personalInFeed,
    origins: corsOrigins.length > 0 ? corsOrigins : deps.corsOrigins
  })
}

async function issue(
  reply: FastifyReply,
  { tickets, ticketTtlMs }: TicketRouteDeps,
  grant: LiveGrant
): Promise<FastifyReply> {
  try {
    const ticket = await tickets.issue(grant)
    return await reply
      .code(201)
      .header('cache-control', 'no-store')
      .send({ ticket, expiresInMs: ticketTtlMs, project: grant.projectId, allow: grant.allow })
  } catch (error) {
    if (!isTransient(error)) throw error
    return sendProblem(reply, 'unavailable', { detail: 'tickets cannot be kept now' })
  }
}

/** What the ticket is to allow; undefined when the body is wrong. */
function toAllowed(body: unknown): readonly LiveKind[] | undefined {
  if (body === undefined || body === null) return liveKinds
  if (typeof body !== 'object' || Array.isArray(body)) return undefined
  const { allow = liveKinds, ...others } = body as Readonly<Record<string, unknown>>
  if (Object.keys(others).length > 0 || !Array.isArray(allow) || allow.length === 0) return undefined
  const known = liveKinds.filter((kind) => allow.includes(kind))
  return allow.every((each) => known.some((kind) => kind === each)) ? known : undefined
}

/**
 * Whether the page of this service on this machine asks. Another site cannot send the header of its own, and a name that
 * was bent to this address (DNS rebinding) is not a loopback name.
 */
function isOwnPage({ headers }: FastifyRequest): boolean {
  const host = headers.host?.replace(/:\d+$/, '')
  const isLoopback = host === '127.0.0.1' || host === 'localhost' || host === '[::1]'
  return (
    isLoopback &&
    headers['x-millrace-page'] === 'live' &&
    (headers.origin ?? `http://${headers.host}`) === `http://${headers.host}`
  )
}
