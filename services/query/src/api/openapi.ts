// The description of the HTTP surface as OpenAPI 3.1; openapi.test.ts holds it against the addresses that are served.
import { problemCatalog, problemContentType } from '@millrace/contracts'
import type { ProblemCode } from '@millrace/contracts'
import { priorities } from '../bulkhead.ts'
import { components } from './components.ts'
import { plainPaths } from './plain-paths.ts'

const json = 'application/json'
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const jsonOf = (schema: object, example?: object) => ({
  [json]: { schema, ...(example === undefined ? {} : { example }) }
})

const general = ['unauthorized', 'forbidden', 'invalid_request', 'internal', 'unavailable', 'query_timeout'] as const
const retryHeader = {
  'Retry-After': { description: 'Seconds until a repeat makes sense.', schema: { type: 'integer' } }
}
const answerHeaders = {
  'X-Cache': {
    description:
      'HIT: made before and sent again. MISS: made now. STALE: its time is over, but no other can be had now. BYPASS: made without the cache.',
    schema: { enum: ['HIT', 'MISS', 'STALE', 'BYPASS'] }
  },
  Age: { description: 'Seconds since it was made; of HIT and STALE.', schema: { type: 'integer' } },
  'X-Query-Id': { description: 'Names the run of the engine that made it.', schema: { type: 'string' } }
}

/** Replies by status: `own`, and a problem for each status that has codes. */
function responses(own: object, codes: readonly ProblemCode[]): object {
  const problems = Map.groupBy(new Set<ProblemCode>([...codes, ...general]), (code) => problemCatalog[code].status)
  const sorted = [...problems].toSorted(([left], [right]) => left - right)
  const described = sorted.map(([status, group]) => [
    String(status),
    {
      description: group.map((code) => `\`${code}\`: ${problemCatalog[code].title}.`).join('\n\n'),
      ...(status === 503 ? { headers: retryHeader } : {}),
      content: { [problemContentType]: { schema: ref('Problem') } }
    }
  ])
  return { ...own, ...(Object.fromEntries(described) as object) }
}

const header = (name: string, description: string, schema: object) => ({ name, in: 'header', description, schema })
const query = (name: string, description: string, schema: object, required = false) => ({
  name,
  in: 'query',
  ...(required ? { required } : {}),
  description,
  schema
})
const text = { type: 'string' }

const common = [
  header('X-Priority', 'Who goes first when places are rare; what is in the background is refused first.', {
    enum: [...priorities]
  }),
  header('X-Timeout-Ms', 'Longest time, waiting for a place included; at most that of the service.', {
    type: 'integer'
  }),
  header(
    'Cache-Control',
    '`no-cache`: make it anew. `no-store`: neither read nor store it. `stale-if-error=0`: rather an error than an answer whose time is over.',
    text
  )
]
const accept = header('Accept', 'JSON unless it says otherwise.', {
  enum: [json, 'text/csv', 'application/x-ndjson']
})

const anAnswer = {
  columns: [{ name: 'count()', type: 'UInt64' }],
  rows: [[42]],
  rowCount: 1,
  stats: { elapsedMs: 3.1, readRows: 1200, readBytes: 48000 }
}
const rows = {
  200: {
    description: 'The rows: as JSON, as CSV with a head, or as one JSON object a line, sent as they are found.',
    headers: answerHeaders,
    content: {
      ...jsonOf(ref('Answer'), anAnswer),
      'text/csv': { schema: text },
      'application/x-ndjson': { schema: text }
    }
  }
}
const queryProblems = [
  'invalid_json',
  'missing_field',
  'unknown_field',
  'invalid_field',
  'query_refused',
  'query_failed',
  'query_limit',
  'body_too_large',
  'unsupported_media_type'
] as const
const aQuery = { sql: 'SELECT count() FROM events WHERE eventType = {type:String}', params: { type: 'purchase' } }

const sqlPaths = {
  '/v1/query': {
    get: {
      summary: 'Ask SQL',
      description:
        'One SELECT of ClickHouse over the tables of `/v1/schema`; a key sees the rows of its project. Values are bound by name: `{type:String}` takes `param_type`; a list is the same name several times.',
      parameters: [query('sql', 'The query.', text, true), query('param_<name>', 'A value.', text), accept, ...common],
      responses: responses(rows, queryProblems)
    },
    post: {
      summary: 'Ask SQL with a long text or many values',
      description: 'As GET; the values are JSON.',
      parameters: [accept, ...common],
      requestBody: { required: true, content: jsonOf(ref('Query'), aQuery) },
      responses: responses(rows, queryProblems)
    }
  },
  '/v1/schema': {
    get: {
      summary: 'What can be asked',
      description: 'Tables and columns, and the most frequent properties of each event type of the last week.',
      parameters: common,
      responses: responses({ 200: { description: 'It.', headers: answerHeaders, content: jsonOf(ref('Schema')) } }, [])
    }
  },
  '/v1/sessions/{sessionId}': {
    get: {
      summary: 'One session',
      description: 'As the table `sessions` has it.',
      parameters: [{ name: 'sessionId', in: 'path', required: true, schema: text }, ...common],
      responses: responses(
        { 200: { description: 'The session.', headers: answerHeaders, content: jsonOf({ type: 'object' }) } },
        ['not_found']
      )
    }
  },
  '/v1/cache': {
    delete: {
      summary: 'Forget answers',
      description: 'What was answered to the project before does not count any more, for all processes.',
      responses: responses({ 204: { description: 'Forgotten.' } }, [])
    }
  }
}

const time = 'ISO 8601 with a zone, a date, or milliseconds since 1970'
const aMetric = {
  metric: 'events',
  granularity: '1h',
  source: 'mixed',
  data: [{ timestamp: '2026-03-01T12:00:00.000Z', value: 42, count: 42, provisional: false, complete: true }]
}
const metricPaths = {
  '/v1/metrics': {
    get: {
      summary: 'What is counted',
      responses: responses({ 200: { description: 'The metrics.', content: jsonOf(ref('MetricList')) } }, [])
    }
  },
  '/v1/metrics/{name}': {
    get: {
      summary: 'A metric over time',
      description:
        'Windows of the last hours come from the live state, older ones from the warehouse. A window that is known to have no event is 0, one that nothing is known of is null.',
      parameters: [
        { name: 'name', in: 'path', required: true, schema: text },
        query('startTime', `${time}; the window in which it lies is the first one.`, text),
        query('endTime', `${time}; now when it is left out.`, text),
        query('granularity', 'Length of a window.', { enum: ['1m', '1h', '1d'] }),
        query('dimension', 'One value; once for each dimension of the metric.', text),
        query('dimensions', 'Names of the dimensions of the metric: their most frequent values apart.', text),
        query('limit', 'How many of these values, 1 to 200; 20 when it is left out.', { type: 'integer' }),
        query('timezone', 'Whose days `1d` means, such as Europe/Berlin; UTC when it is left out.', text),
        ...common
      ],
      responses: responses(
        { 200: { description: 'The windows.', headers: answerHeaders, content: jsonOf(ref('Metric'), aMetric) } },
        ['not_found', 'invalid_field']
      )
    }
  }
}

/** The document. `version` is that of the service. */
export function createOpenApi(version: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Millrace query',
      version,
      description:
        'SQL and metrics over the events of a project. Every request needs a secret key. An answer is whole or it is an error; ' +
        'after 503 ask again, not before Retry-After. An address that is not here answers 404 `not_found`.'
    },
    security: [{ bearer: [] }, { apiKey: [] }],
    paths: { ...sqlPaths, ...metricPaths, ...plainPaths },
    components
  }
}
