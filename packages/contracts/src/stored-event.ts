// What the log holds, read back. Lenient where the edge is strict (members that this version does not know are left
// alone), strict where a row needs it: a record is an event with sound members, or it is told why not. Never throws.
import { isUtf8 } from 'node:buffer'
import { Ajv } from 'ajv'
import { checkJsonLimits } from './json-limits.ts'
import { eventSchema, malformedId, propertyLimits } from './event.ts'
import type { ClientEvent } from './event.ts'

/** An event of the raw log: what the client sent and what the gateway added. */
export interface StoredEvent extends ClientEvent {
  readonly eventId: string
  /** Missing only in records that did not come through a gateway. */
  readonly receivedAt?: string
  readonly ip?: string
  readonly userAgent?: string
  /** Country of the sender as a proxy told it. */
  readonly country?: string
  readonly schemaVersion?: number
}

/** Why a record is not an event: its bytes are no JSON (`parse`), or the JSON is no event (`schema`). */
export interface NotAnEvent {
  readonly ok: false
  readonly reason: 'parse' | 'schema'
  readonly detail: string
}

const notParsed = (detail: string): NotAnEvent => ({ ok: false, reason: 'parse', detail })
const notEvent = (detail: string): NotAnEvent => ({ ok: false, reason: 'schema', detail })

const text = { type: 'string' }
const isStored = new Ajv({ allErrors: false }).compile<StoredEvent>({
  ...(lenient(eventSchema) as object),
  $id: 'urn:millrace:stored-event',
  required: ['eventId', 'eventType'],
  properties: {
    ...(lenient(eventSchema.properties) as object),
    receivedAt: { ...text, maxLength: 40 },
    ip: text,
    userAgent: text,
    country: text,
    schemaVersion: { type: 'integer', minimum: 0, maximum: 4_294_967_295 }
  }
})

/** The event in the value of a raw record. */
export function readStoredEvent(value: Buffer | null): { readonly ok: true; readonly event: StoredEvent } | NotAnEvent {
  if (value === null) return notParsed('the record has no value')
  if (value.byteLength === 0) return notParsed('the value is empty')
  if (!isUtf8(value)) return notParsed('the value is not UTF-8')
  let event: unknown
  try {
    event = JSON.parse(value.toString('utf8'))
  } catch {
    return notParsed('the value is not JSON')
  }
  if (!isStored(event)) {
    const error = isStored.errors?.[0]
    return notEvent(`${error?.instancePath === '' ? 'the value' : error?.instancePath} ${error?.message}`)
  }
  const malformed = malformedId(event)
  if (malformed !== undefined) return notEvent(`/${malformed} holds half of a surrogate pair`)
  if (event.properties !== undefined) {
    const broken = checkJsonLimits(event.properties, 'properties', propertyLimits)
    if (broken !== undefined) return notEvent(`${broken.pointer.slice(0, 256)} ${broken.code}`)
  }
  return { ok: true, event }
}

/** A schema without what only the edge enforces: closed member lists, and formats, which the event time checks. */
function lenient(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return schema
  const kept = Object.entries(schema).filter(([key]) => key !== 'additionalProperties' && key !== 'format')
  return Object.fromEntries(kept.map(([key, value]) => [key, lenient(value)]))
}
