// Errors of every HTTP surface as RFC 9457 problem documents. Clients branch on `code`, which never changes meaning.

/** Every code with its HTTP status and title. The only declaration of problem codes. */
export const problemCatalog = {
  invalid_utf8: { status: 400, title: 'The body is not UTF-8' },
  invalid_json: { status: 400, title: 'The body is not JSON' },
  invalid_encoding: { status: 400, title: 'The body does not decode' },
  invalid_request: { status: 400, title: 'The request is malformed' },
  unauthorized: { status: 401, title: 'The API key is missing or unknown' },
  forbidden: { status: 403, title: 'The API key does not permit this' },
  origin_not_allowed: { status: 403, title: 'The project does not take events from pages of this origin' },
  not_found: { status: 404, title: 'There is nothing at this address' },
  method_not_allowed: { status: 405, title: 'The address does not take this method' },
  duplicate: { status: 409, title: 'The event is stored already' },
  conflict: { status: 409, title: 'The thing exists already or was changed meanwhile' },
  event_too_large: { status: 413, title: 'The event is too large' },
  body_too_large: { status: 413, title: 'The body is too large' },
  batch_too_large: { status: 413, title: 'The batch has too many events' },
  unsupported_media_type: { status: 415, title: 'The content type or encoding is not supported' },
  not_an_object: { status: 422, title: 'The event is not a JSON object' },
  missing_field: { status: 422, title: 'A required field is missing' },
  unknown_field: { status: 422, title: 'A field is not part of an event' },
  gateway_field: { status: 422, title: 'A field is set by the gateway alone' },
  invalid_field: { status: 422, title: 'A field breaks its rule' },
  invalid_time: { status: 422, title: 'A time is not an ISO 8601 date and time with a zone' },
  event_too_old: { status: 422, title: 'The event is too old' },
  too_deep: { status: 422, title: 'The properties are nested too deep' },
  too_many_keys: { status: 422, title: 'The properties have too many keys' },
  number_out_of_range: { status: 422, title: 'A number is beyond 2^53 - 1; send it as a string' },
  forbidden_key: { status: 422, title: 'A key could change the prototype of an object' },
  malformed_text: { status: 422, title: 'An id holds half of a surrogate pair' },
  schema_mismatch: { status: 422, title: 'The event breaks the schema of its type' },
  event_dropped: { status: 422, title: 'The operator of the deployment has such events dropped' },
  query_refused: { status: 422, title: 'The query is not permitted' },
  query_failed: { status: 422, title: 'The query is wrong' },
  query_limit: { status: 422, title: 'The query exceeds a limit' },
  rate_limited: { status: 429, title: 'Too many requests' },
  internal: { status: 500, title: 'The service failed' },
  in_progress: { status: 503, title: 'The same event is being stored; repeat it' },
  unknown: { status: 503, title: 'The event may or may not be stored; repeat it' },
  unavailable: { status: 503, title: 'The service cannot take work now; repeat later' },
  query_timeout: { status: 504, title: 'The query took too long' }
} as const satisfies Record<string, { status: number; title: string }>

/** A stable problem code. */
export type ProblemCode = keyof typeof problemCatalog

/** The body of an error reply; `pointer` is an RFC 6901 pointer into the request body. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: ProblemCode
  readonly detail?: string
  readonly pointer?: string
  readonly [extension: string]: unknown
}

/** The media type of a Problem. */
export const problemContentType = 'application/problem+json'

/** The shape of a Problem in a description of an HTTP surface; `more` are the extensions that it has there. */
export function problemSchema(more: Readonly<Record<string, object>> = {}) {
  return {
    type: 'object',
    description: 'RFC 9457 problem document. Branch on `code`, which never changes meaning.',
    required: ['type', 'title', 'status', 'code'],
    properties: {
      type: { type: 'string' },
      title: { type: 'string' },
      status: { type: 'integer' },
      code: { type: 'string' },
      detail: { type: 'string' },
      pointer: { type: 'string', description: 'RFC 6901 pointer into the body.' },
      ...more
    }
  }
}

/** A problem document for `code`; `extra` adds `detail`, `pointer` and members of its own. */
export function toProblem(
  code: ProblemCode,
  extra: { detail?: string; pointer?: string; [member: string]: unknown } = {}
): Problem {
  const { status, title } = problemCatalog[code]
  return { type: `urn:millrace:problem:${code}`, title, status, code, ...extra }
}
