// The description of the administration API as OpenAPI 3.1, made from the routes that are served.
import { problemCatalog, problemContentType, problemSchema } from '@millrace/contracts'
import type { ProblemCode } from '@millrace/contracts'
import { objectRule } from './route.ts'
import type { Members, OpsRoute } from './route.ts'

const json = 'application/json'
const general = ['unauthorized', 'invalid_request', 'internal', 'unavailable'] as const

/** The description of `routes` and of what every service serves. */
export function createOpenApi(version: string, routes: readonly OpsRoute[]) {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Millrace operations',
      version,
      description:
        'Administration of a Millrace deployment. Every endpoint under `/v1` takes the administration token as `Authorization: Bearer`. What changes something is written into the audit log.'
    },
    security: [{ admin: [] }],
    paths: { ...paths, ...plainPaths },
    components: {
      securitySchemes: { admin: { type: 'http', scheme: 'bearer', description: 'The administration token.' } },
      schemas: { Problem: problemSchema() }
    }
  }
}

function operationOf({ summary, description, params, query, body, reply, problems = [] }: OpsRoute): object {
  const checked: readonly ProblemCode[] = body === undefined ? [] : ['missing_field', 'unknown_field', 'invalid_json']
  const codes = new Set<ProblemCode>([...problems, ...checked, 'invalid_field', ...general])
  const byStatus = Map.groupBy(codes, (code) => problemCatalog[code].status)
  const refusals = [...byStatus].map(([status, group]) => [
    String(status),
    {
      description: group.map((code) => `\`${code}\`: ${problemCatalog[code].title}.`).join('\n\n'),
      content: { [problemContentType]: { schema: { $ref: '#/components/schemas/Problem' } } }
    }
  ])
  const { status, example } = reply
  return {
    summary,
    ...(description === undefined ? {} : { description }),
    parameters: [...parametersOf('path', params), ...parametersOf('query', query)],
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { [json]: { schema: objectRule(body), ...exampleOf(body) } } } }),
    responses: {
      [status]: {
        description: reply.description,
        content: { [json]: { schema: {}, ...(example === undefined ? {} : { example }) } }
      },
      ...(Object.fromEntries(refusals) as object)
    }
  }
}

function parametersOf(place: 'path' | 'query', members: Members | undefined): readonly object[] {
  return Object.entries(members?.properties ?? {}).map(([name, { description, ...schema }]) => ({
    name,
    in: place,
    required: place === 'path' || (members?.required?.includes(name) ?? false),
    ...(description === undefined ? {} : { description }),
    schema
  }))
}

/** An example body from those of its members. */
function exampleOf({ properties }: Members): object {
  const named = Object.entries(properties).flatMap(([name, { examples }]) =>
    Array.isArray(examples) ? [[name, examples[0] as unknown] as const] : []
  )
  return named.length === 0 ? {} : { example: Object.fromEntries(named) }
}

const open = (summary: string, description: string, type = json) => ({
  get: {
    summary,
    description,
    security: [],
    responses: { 200: { description: 'Good.', content: { [type]: {} } } }
  }
})

/** What every service serves, without the token. */
const plainPaths = {
  '/health': open('Health', 'Dependencies one by one; 503 when it cannot work.'),
  '/livez': open('Liveness', '503 asks for a restart.'),
  '/readyz': open('Readiness', '503 while it takes no requests.'),
  '/metrics': open('Metrics', 'In the text format of Prometheus.', 'text/plain'),
  '/openapi.json': open('This description', 'OpenAPI 3.1.'),
  '/docs': open('This description as a page', 'It loads nothing from elsewhere.', 'text/html')
}
