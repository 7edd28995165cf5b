// What a client may send. Every way in (one event, a batch item) passes here, and nothing else reaches the log.
// Never throws: any bytes are either an event or a refusal with the place that is wrong.
import { isUtf8 } from 'node:buffer'
import { Ajv } from 'ajv'
import type { ErrorObject } from 'ajv'
import eventSchema from '../../../schemas/events/event.schema.json' with { type: 'json' }
import { resolveEventTime } from './event-time.ts'
import type { EventTime } from './event-time.ts'
import { parseIsoTime } from './iso-time.ts'
import { checkJsonLimits, pointerSegment } from './json-limits.ts'
import { problemCatalog } from './problem.ts'
import type { ProblemCode } from './problem.ts'

/** The JSON Schema of an event, the source of docs and of the check. */
export { eventSchema }

/** Context of an event. */
export interface EventContext {
  readonly page?: { readonly url?: string; readonly path?: string; readonly referrer?: string; readonly title?: string }
  readonly campaign?: {
    readonly source?: string
    readonly medium?: string
    readonly name?: string
    readonly term?: string
    readonly content?: string
  }
  readonly userAgent?: string
  readonly ip?: string
  readonly locale?: string
  readonly library?: { readonly name?: string; readonly version?: string }
}

/** An event as a client sends it, after the check. Times are ISO 8601 texts. */
export interface ClientEvent {
  readonly eventId?: string
  readonly eventType: string
  readonly userId?: string
  readonly anonymousId?: string
  readonly sessionId?: string
  readonly timestamp?: string
  readonly sentAt?: string
  readonly properties?: Readonly<Record<string, unknown>>
  readonly context?: EventContext
}

/** Why something is not an event. `pointer` is an RFC 6901 pointer into the event; empty = the whole of it. */
export interface EventRefusal {
  readonly ok: false
  readonly status: 400 | 413 | 422
  readonly code: ProblemCode
  readonly pointer: string
  readonly detail: string
}

/** An event with its time as of this receipt, or a refusal. */
export type EventDecision = { readonly ok: true; readonly event: ClientEvent; readonly time: EventTime } | EventRefusal

export interface EventLimits {
  /** Largest event, in bytes as sent. */
  readonly maxBytes: number
  /** Oldest event time accepted, in milliseconds before the receipt. */
  readonly maxAgeMs: number
}

/** Bounds of `properties`. */
export const propertyLimits = { maxDepth: 32, maxKeys: 1_000 }

/** 256 KiB and five years. */
export const defaultEventLimits: EventLimits = { maxBytes: 256 * 1024, maxAgeMs: 5 * 365.25 * 86_400_000 }

/** Members that the gateway adds to the record; a client may not send them. */
export const gatewayFields = ['projectId', 'receivedAt', 'ip', 'userAgent', 'country'] as const

/** Members that other stages own; refused like the gateway's own. */
const reservedFields: ReadonlySet<string> = new Set([
  ...gatewayFields,
  'appendedAt',
  'latenessMs',
  'schemaVersion',
  'enrichVersion',
  'topic',
  'partition',
  'offset'
])

const ajv = new Ajv({ allErrors: false })
ajv.addFormat('date-time', (text) => parseIsoTime(text) !== undefined)
const isValid = ajv.compile<ClientEvent>(eventSchema)

/**
 * The event in `body` (bytes of one JSON object) received at `now` (epoch milliseconds). 400: not UTF-8 or not JSON;
 * 413: too large; 422: a rule of the event is broken. Of equal keys the last counts. `sentAt` (ISO 8601) stands for an
 * event that has none of its own.
 */
export function decodeEvent(
  body: Buffer,
  now: number,
  limits: EventLimits = defaultEventLimits,
  sentAt?: string
): EventDecision {
  if (body.byteLength > limits.maxBytes) {
    return refuse('event_too_large', '', `${body.byteLength} bytes; at most ${limits.maxBytes} are accepted`)
  }
  if (!isUtf8(body)) return refuse('invalid_utf8', '', 'the body holds bytes that are not UTF-8')
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch (error) {
    return refuse('invalid_json', '', jsonFault(error))
  }
  return checkEvent(value, now, limits, sentAt)
}

/** As `decodeEvent`, for a value that was parsed already and whose size was checked. */
export function checkEvent(
  value: unknown,
  now: number,
  limits: EventLimits = defaultEventLimits,
  sentAt?: string
): EventDecision {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse('not_an_object', '', 'an event is a JSON object')
  }
  for (const key of Object.keys(value)) {
    if (reservedFields.has(key)) return refuse('gateway_field', pointerSegment(key), `${key} is set by the gateway`)
    if (key === '__proto__') return refuse('forbidden_key', pointerSegment(key), `${key} is not accepted`)
  }
  if (!isValid(value)) return refuseSchema(isValid.errors?.[0])
  const text = malformedId(value)
  if (text !== undefined) return refuse('malformed_text', `/${text}`, `${text} holds half of a surrogate pair`)
  if (value.properties !== undefined) {
    const broken = checkJsonLimits(value.properties, 'properties', propertyLimits)
    if (broken !== undefined) return refuse(broken.code, broken.pointer, limitDetail[broken.code])
  }
  const timed = sentAt === undefined || value.sentAt !== undefined ? value : { ...value, sentAt }
  const time = resolveEventTime(timed, now)
  if (!time.ok) return refuse('invalid_time', `/${time.member}`, 'is not an ISO 8601 date and time with a zone')
  if (time.timestampMs < now - limits.maxAgeMs) {
    const source = value.timestamp === undefined ? 'eventId' : 'timestamp'
    const days = Math.floor(limits.maxAgeMs / 86_400_000)
    return refuse('event_too_old', `/${source}`, `the event is older than ${days} days`)
  }
  return { ok: true, event: value, time }
}

const limitDetail = {
  too_deep: `more than ${propertyLimits.maxDepth} levels of objects and arrays`,
  too_many_keys: `more than ${propertyLimits.maxKeys} keys`,
  number_out_of_range: 'beyond +-(2^53 - 1), where numbers lose digits; send it as a string',
  forbidden_key: 'this key could change the prototype of an object'
} as const

const ids = ['eventId', 'userId', 'anonymousId', 'sessionId'] as const

/** The id that holds half of a surrogate pair. As UTF-8 two such ids would become one, and one event would be lost. */
export function malformedId(event: { readonly [K in (typeof ids)[number]]?: string | undefined }): string | undefined {
  return ids.find((id) => event[id]?.isWellFormed() === false)
}

function refuse(code: ProblemCode, pointer: string, detail: string): EventRefusal {
  // Only codes with one of these statuses are used in this file; the table holds many others.
  return {
    ok: false,
    status: problemCatalog[code].status as 400 | 413 | 422,
    code,
    pointer: pointer.slice(0, 1_024),
    detail
  }
}

function refuseSchema(error: ErrorObject | undefined): EventRefusal {
  const at = error?.instancePath ?? ''
  const params = (error?.params ?? {}) as { missingProperty?: string; additionalProperty?: string }
  if (params.missingProperty !== undefined) {
    return refuse('missing_field', at + pointerSegment(params.missingProperty), `${params.missingProperty} is required`)
  }
  if (params.additionalProperty !== undefined) {
    const pointer = at + pointerSegment(params.additionalProperty)
    if (params.additionalProperty === '__proto__') return refuse('forbidden_key', pointer, limitDetail.forbidden_key)
    return refuse('unknown_field', pointer, 'is not part of an event; put it into properties')
  }
  if (error?.keyword === 'format') return refuse('invalid_time', at, 'is not an ISO 8601 date and time with a zone')
  return refuse('invalid_field', at, error?.message ?? 'breaks the schema of an event')
}

/** Where the text stops being JSON, without quoting it. */
function jsonFault(error: unknown): string {
  const position = error instanceof Error ? /at position \d+/.exec(error.message)?.[0] : undefined
  return position === undefined ? 'the body is not a JSON text' : `the body is not a JSON text ${position}`
}
