// The description of the gateway's HTTP surface as OpenAPI 3.1, made from what the gateway itself goes by: the schema of
// an event, the catalogue of problems and the addresses of intake. A test holds it against the response table.
import { eventSchema, problemCatalog, problemContentType, problemSchema } from '@millrace/contracts'
import type { ProblemCode } from '@millrace/contracts'
import { maxBatchEvents } from '../intake/batch-body.ts'
import { intakePaths } from '../intake/intake.ts'
import { bodyLimits } from '../intake/receive-body.ts'
import type { Endpoint } from '../intake/answer.ts'
import { paths as otherPaths } from './other-paths.ts'

/** Why one event is refused, alone or as an item of a batch. */
export const eventProblems = [
  'invalid_utf8',
  'invalid_json',
  'event_too_large',
  'not_an_object',
  'missing_field',
  'unknown_field',
  'gateway_field',
  'invalid_field',
  'invalid_time',
  'event_too_old',
  'too_deep',
  'too_many_keys',
  'number_out_of_range',
  'forbidden_key',
  'malformed_text',
  'schema_mismatch',
  'event_dropped'
] as const satisfies readonly ProblemCode[]

/** Why one event has to be sent again, alone or as an item of a batch. */
export const retryProblems = [
  'in_progress',
  'unknown',
  'unavailable',
  'rate_limited'
] as const satisfies readonly ProblemCode[]

const requestProblems = [
  'invalid_encoding',
  'invalid_request',
  'unauthorized',
  'forbidden',
  'origin_not_allowed',
  'method_not_allowed',
  'body_too_large',
  'unsupported_media_type',
  'rate_limited',
  'internal',
  'unavailable'
] as const satisfies readonly ProblemCode[]

/** The problems of each kind of address. */
const problemsOf: Readonly<Record<Endpoint, ReadonlySet<ProblemCode>>> = {
  events: new Set<ProblemCode>([...requestProblems, ...eventProblems, ...retryProblems]),
  batch: new Set<ProblemCode>([
    ...requestProblems,
    'batch_too_large',
    'invalid_json',
    'not_an_object',
    'missing_field',
    'unknown_field',
    'invalid_field',
    'invalid_time'
  ])
}

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const jsonOf = (schema: object, more: object = {}) => ({ 'application/json': { schema, ...more } })
const retryHeader = {
  'Retry-After': { description: 'Seconds until a repeat makes sense, with jitter.', schema: { type: 'integer' } }
}

interface Response {
  readonly description: string
  readonly headers?: object
  readonly content?: object
}

const singleReplies: Readonly<Record<string, Response>> = {
  202: { description: 'Stored on all in-sync replicas.', content: jsonOf(ref('Accepted')) },
  409: {
    description: 'An event of this id is stored already, whatever it holds; the same as success.',
    content: jsonOf(ref('Duplicate'))
  }
}
const items = jsonOf(ref('BatchReply'))
const batchReplies: Readonly<Record<string, Response>> = {
  202: { description: 'Every event is stored, some perhaps before.', content: items },
  207: { description: 'Look at each item. Retry-After is there when one has to be sent again.', content: items },
  422: { description: 'Every event is refused, or the body is no batch.', content: items },
  429: { description: 'Every event is over a limit; nothing is stored.', content: items },
  503: { description: 'Every event has to be sent again.', content: items }
}

/** Replies of an address by status: its own, and a problem document for each status that has codes. */
function responsesOf(own: Readonly<Record<string, Response>>, codes: ReadonlySet<ProblemCode>): object {
  const statuses = Map.groupBy(codes, (code) => problemCatalog[code].status)
  const responses: Record<string, Response> = { ...own }
  for (const [status, group] of [...statuses].toSorted(([left], [right]) => left - right)) {
    const lines = group.map((code) => `\`${code}\`: ${problemCatalog[code].title}.`)
    const schema = { allOf: [ref('Problem'), { properties: { code: { enum: group } } }] }
    const mine = own[status]
    responses[status] = {
      description: [...(mine === undefined ? [] : [mine.description]), ...lines].join('\n\n'),
      ...(status === 429 || status === 503 ? { headers: retryHeader } : {}),
      content: { ...mine?.content, [problemContentType]: { schema } }
    }
  }
  return responses
}

const anEvent = {
  eventId: '0199f3a1-7c8e-7f21-9c51-0d6f1f7a2b10',
  eventType: 'purchase',
  userId: 'u-42',
  timestamp: '2026-03-01T12:00:00.000Z',
  properties: { amount: 49.9, currency: 'EUR' }
}
const encoding = {
  name: 'Content-Encoding',
  in: 'header',
  description: `How the body is encoded. Decoded it has at most ${bodyLimits.maxRatio} times its size.`,
  schema: { type: 'string', enum: ['identity', 'gzip', 'deflate', 'br', 'zstd'] }
}

const operations: Readonly<Record<Endpoint, object>> = {
  events: {
    summary: 'Send one event',
    description:
      'Answers when the event is in the log. Any Content-Type is read as JSON. Without a key in the headers the body is ' +
      '`{"writeKey": "mr_w_...", "event": {...}}`.',
    parameters: [encoding],
    requestBody: {
      required: true,
      content: jsonOf({ anyOf: [ref('Event'), ref('KeyedEvent')] }, { example: anEvent })
    },
    responses: responsesOf(singleReplies, problemsOf.events)
  },
  batch: {
    summary: `Send up to ${maxBatchEvents} events`,
    description:
      'Events are independent and answered in their order. The second use of an id in a batch has the fate of the first. ' +
      'NDJSON is one event a line. A beacon carries its key as `writeKey` in the body.',
    parameters: [encoding],
    requestBody: {
      required: true,
      content: {
        ...jsonOf(ref('Batch'), { example: { sentAt: '2026-03-01T12:00:01.000Z', events: [anEvent] } }),
        'application/x-ndjson': { schema: { type: 'string' }, example: `${JSON.stringify(anEvent)}\n` }
      }
    },
    responses: responsesOf(batchReplies, problemsOf.batch)
  }
}

const { $schema: _dialect, $id: _id, ...event } = eventSchema
const writeKey = { type: 'string', description: 'A write key, where no header can carry it.' }
const eventId = { type: 'string' }
const expected = { type: 'string', description: 'What the schema expects there.' }
const version = { type: 'integer', description: 'The version of the schema that refused the event.' }

const schemas = {
  Event: event,
  Batch: {
    type: 'object',
    required: ['events'],
    additionalProperties: false,
    properties: {
      events: { type: 'array', maxItems: maxBatchEvents, items: ref('Event') },
      sentAt: { type: 'string', format: 'date-time', description: 'Stands for events that have no sentAt.' },
      writeKey
    }
  },
  KeyedEvent: {
    type: 'object',
    required: ['event', 'writeKey'],
    additionalProperties: false,
    properties: { event: ref('Event'), writeKey, sentAt: { type: 'string', format: 'date-time' } }
  },
  Accepted: {
    type: 'object',
    required: ['status', 'eventId'],
    properties: {
      status: { const: 'accepted' },
      eventId,
      hint: { type: 'string', description: 'Present when the gateway made the eventId.' }
    }
  },
  Duplicate: {
    type: 'object',
    required: ['status', 'eventId'],
    properties: { status: { const: 'duplicate' }, eventId }
  },
  BatchReply: {
    type: 'object',
    required: ['items'],
    properties: { items: { type: 'array', items: ref('BatchItem'), description: 'One for each event, in order.' } }
  },
  BatchItem: {
    type: 'object',
    required: ['status'],
    properties: {
      eventId: { type: 'string', description: 'Absent when the event was refused and has none.' },
      status: { enum: ['accepted', 'duplicate', 'rejected', 'retry'] },
      code: { enum: [...eventProblems, ...retryProblems] },
      pointer: { type: 'string', description: 'RFC 6901 pointer into the event.' },
      expected,
      version,
      detail: { type: 'string' }
    }
  },
  Problem: problemSchema({ expected, version, eventId })
}

/** The document. `version` is that of the gateway. */
export function createOpenApi(version: string) {
  const intake = Object.entries(intakePaths).map(([path, endpoint]) => [
    path,
    {
      post: {
        operationId: `post${path.replaceAll(/\W+(\w)/g, (_, first: string) => first.toUpperCase())}`,
        ...operations[endpoint]
      }
    }
  ])
  return {
    openapi: '3.1.0',
    info: {
      title: 'Millrace gateway',
      version,
      description:
        '202 and 409 mean that an event is stored on all in-sync replicas. After 429 and 503 send it again under the ' +
        'same eventId, not before Retry-After. Any other error will be the same next time. An address that is not here ' +
        'answers 404 `not_found`; a method that is not here 405 `method_not_allowed`, and OPTIONS at intake 204 with what a ' +
        'page of another origin may send. A request that never ends answers 408, and one whose headers are too large 431.'
    },
    security: [{ bearer: [] }, { apiKey: [] }],
    paths: { ...(Object.fromEntries(intake) as Record<string, object>), ...otherPaths },
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key.' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' }
      },
      schemas
    }
  }
}
