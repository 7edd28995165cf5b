// The description of the HTTP surface as OpenAPI 3.1; openapi.test.ts holds it against the addresses that are served.
import { analysisPaths } from './analysis-paths.ts'
import { components } from './components.ts'
import { answerHeaders, common, header, json, jsonOf, query, ref, responses, text } from './parts.ts'
import { plainPaths } from './plain-paths.ts'

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
  'rate_limited',
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
      responses: responses({ 200: { description: 'It.', headers: answerHeaders, content: jsonOf(ref('Schema')) } }, [
        'rate_limited'
      ])
    }
  },
  '/v1/sessions/{sessionId}': {
    get: {
      summary: 'One session',
      description: 'As the table `sessions` has it.',
      parameters: [{ name: 'sessionId', in: 'path', required: true, schema: text }, ...common],
      responses: responses(
        { 200: { description: 'The session.', headers: answerHeaders, content: jsonOf({ type: 'object' }) } },
        ['not_found', 'rate_limited']
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

const time = 'ISO 8601 with a zone, a date, or milliseconds since 1970, before 2300'
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
        'SQL, metrics, funnels, retention and timelines over the events of a project. Every request needs a secret key. An answer is whole or it is an error; ' +
        'after 503 ask again, not before Retry-After. An address that is not here answers 404 `not_found`.'
    },
    security: [{ bearer: [] }, { apiKey: [] }],
    paths: { ...sqlPaths, ...metricPaths, ...analysisPaths, ...plainPaths },
    components
  }
}
