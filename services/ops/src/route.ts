// An endpoint of the administration API as data: the server and its description (openapi.ts) are made from the same list,
// so neither can say what the other does not. Input that breaks its rule never reaches `handle`.
import type { FastifyInstance } from 'fastify'
import type { ProblemCode } from '@millrace/contracts'
import { isAdmin, sendProblem } from '@millrace/service'
import type { BoundMetrics } from '@millrace/observability'
import type { opsMetrics } from './metrics.ts'

/** A JSON Schema. */
export type Rule = Readonly<Record<string, unknown>>

/** Members by name; those in `required` must be there. */
export interface Members {
  readonly properties: Readonly<Record<string, Rule>>
  readonly required?: readonly string[]
}

/** What the rules of a route let through. */
export interface RouteInput {
  readonly params?: unknown
  readonly query?: unknown
  readonly body?: unknown
}

export interface Reply {
  readonly status: 200 | 201 | 202
  readonly description: string
  readonly example?: unknown
}

export interface OpsRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** As Fastify writes it: `/v1/projects/:projectId`. */
  readonly path: string
  readonly summary: string
  readonly description?: string
  readonly params?: Members
  readonly query?: Members
  readonly body?: Members
  readonly reply: Reply
  /** Beside those that every route may answer. */
  readonly problems?: readonly ProblemCode[]
  /** Resolves with the body of the reply; bigints are sent as text. Throws AppErrors (see problem-of.ts). */
  readonly handle: (input: Required<RouteInput>) => Promise<unknown>
}

/** A route whose handler knows the shape that its rules let through. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- it says what the one caller of `handle` cannot know
export function route<Input extends RouteInput>(
  definition: Omit<OpsRoute, 'handle'> & { readonly handle: (input: Input) => Promise<unknown> }
): OpsRoute {
  // The rules of the route are what makes the input an Input.
  return definition as OpsRoute
}

export interface AddRoutesDeps {
  readonly adminToken: string
  readonly metrics: BoundMetrics<typeof opsMetrics>
}

/** Serves `routes` on `app` to whoever sends the administration token. */
export function addRoutes(
  app: FastifyInstance,
  routes: readonly OpsRoute[],
  { adminToken, metrics }: AddRoutesDeps
): void {
  for (const { method, path, params, query, body, reply: answer, handle } of routes) {
    app.route({
      method,
      url: path,
      schema: {
        ...(params === undefined ? {} : { params: objectRule(params) }),
        querystring: objectRule(query ?? { properties: {} }),
        ...(body === undefined ? {} : { body: objectRule(body) })
      },
      // Of the route, not of the path: a path has many spellings.
      onRequest: async (request, reply) => {
        if (isAdmin(request.headers.authorization, adminToken)) return
        return sendProblem(reply, 'unauthorized', { detail: 'send the administration token as Authorization: Bearer' })
      },
      onResponse: async (_request, reply) => {
        metrics.requests.add(1, { endpoint: path, status: String(reply.statusCode) })
        metrics.latency.observe(reply.elapsedTime / 1_000, { endpoint: path })
      },
      handler: async (request, reply) => {
        const made = await handle({ params: request.params, query: request.query, body: request.body })
        return reply.code(answer.status).type('application/json; charset=utf-8').send(toJson(made))
      }
    })
  }
}

/** Text of `value`; bigints as decimal text, times as ISO 8601. */
function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) => (typeof each === 'bigint' ? String(each) : each))
}

/** The schema of an object with `members` and no others. */
export function objectRule({ properties, required = [] }: Members): Rule {
  return { type: 'object', additionalProperties: false, required: [...required], properties }
}
