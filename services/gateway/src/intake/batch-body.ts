// The two forms of a batch, cut into the bytes of its events: a JSON object with the array `events`, and NDJSON, one event
// a line. The envelope alone is judged here; each event is judged by itself, so a broken one leaves the others alone.
import { parseIsoTime } from '@millrace/contracts'
import type { ProblemCode } from '@millrace/contracts'
import { elementsOf, endOfValue, visitMembers } from './json-scan.ts'

/** Events of a batch at most. */
export const maxBatchEvents = 1_000

const ndjsonTypes: ReadonlySet<string> = new Set(['application/x-ndjson', 'application/ndjson', 'application/jsonl'])

/** Whether a Content-Type is that of one event a line. Any other is taken for JSON, whatever it says: beacons lie. */
export function isNdjson(contentType: string | undefined): boolean {
  if (contentType === undefined || contentType === 'application/json') return false
  return ndjsonTypes.has((contentType.split(';', 1)[0] ?? '').trim().toLowerCase())
}

/** A body that is an envelope around events. */
export interface Envelope {
  readonly ok: true
  /** The bytes of each event, in order; they share memory with the body. */
  readonly bodies: readonly Buffer[]
  /** The envelope holds one event under `event`, not a list. */
  readonly single: boolean
  /** When it was sent by the client's clock, ISO 8601, for events that do not say it themselves. */
  readonly sentAt?: string | undefined
  /** The key, where there is no header to carry it. */
  readonly writeKey?: string | undefined
}

/** Why a body is no envelope. `pointer` is an RFC 6901 pointer into the body. */
export interface BrokenEnvelope {
  readonly ok: false
  readonly code: ProblemCode
  readonly pointer: string
  readonly detail: string
}

/** The events of an NDJSON body. Empty lines are none; a line is not looked into. */
export function splitLines(body: Buffer, maxEvents: number): Envelope | BrokenEnvelope {
  const bodies: Buffer[] = []
  for (let start = 0; start < body.length;) {
    const newline = body.indexOf(0x0a, start)
    const next = newline < 0 ? body.length : newline
    const end = next > start && body[next - 1] === 0x0d ? next - 1 : next
    if (end > start) bodies.push(body.subarray(start, end))
    if (bodies.length > maxEvents) return tooMany(maxEvents)
    start = next + 1
  }
  return { ok: true, bodies, single: false }
}

/** The events of a JSON body: `{"events": [...]}` or `{"event": {...}}`, with `sentAt` and `writeKey`. */
export function openEnvelope(body: Buffer, maxEvents: number): Envelope | BrokenEnvelope {
  const found: { events?: Buffer[]; event?: Buffer; sentAt?: Buffer; writeKey?: Buffer } = {}
  let refusal: BrokenEnvelope | undefined
  const kind = visitMembers(body, (rawName, at) => {
    const name = textOf(rawName)
    if (!isMember(name)) {
      refusal = broken('unknown_field', pointerTo(name), 'a batch has the members events, sentAt and writeKey')
    } else if (found[name] !== undefined) {
      refusal = broken('invalid_field', pointerTo(name), 'stands there twice')
    } else if (name === 'events' && body[at] === openBracket) {
      const list = elementsOf(body, at, maxEvents)
      if (list === undefined) return -1
      found.events = list.elements
      if (list.elements.length <= maxEvents) return list.end
      refusal = tooMany(maxEvents)
    } else if (name === 'events') {
      refusal = broken('invalid_field', '/events', 'must be an array')
    } else {
      const end = endOfValue(body, at)
      if (end >= 0) found[name] = body.subarray(at, end)
      return end
    }
    return -1
  })
  if (refusal !== undefined) return refusal
  if (kind === 'other') return broken('not_an_object', '', 'a batch is a JSON object with the array events, or NDJSON')
  if (kind === 'broken') return broken('invalid_json', '', 'the body is not a JSON text')
  return complete(found)
}

const openBracket = 0x5b
const members = ['events', 'event', 'sentAt', 'writeKey'] as const

function isMember(name: string | undefined): name is (typeof members)[number] {
  return members.some((each) => each === name)
}

function complete(found: { events?: Buffer[]; event?: Buffer; sentAt?: Buffer; writeKey?: Buffer }) {
  const { events, event } = found
  const sentAt = textOf(found.sentAt)
  const writeKey = textOf(found.writeKey)
  if (found.sentAt !== undefined && (sentAt === undefined || parseIsoTime(sentAt) === undefined)) {
    return broken('invalid_time', '/sentAt', 'is not an ISO 8601 date and time with a zone')
  }
  if (found.writeKey !== undefined && writeKey === undefined) {
    return broken('invalid_field', '/writeKey', 'must be a string')
  }
  if (events !== undefined && event !== undefined) {
    return broken('invalid_field', '/event', 'a body has either event or events')
  }
  const bodies = events ?? (event === undefined ? undefined : [event])
  if (bodies === undefined) return broken('missing_field', '/events', 'events is required')
  return { ok: true as const, bodies, single: events === undefined, sentAt, writeKey }
}

/** The text of the JSON string `raw`, undefined when it is none. Names and keys only: never a whole body. */
function textOf(raw: Buffer | undefined): string | undefined {
  if (raw === undefined || raw[0] !== 0x22) return undefined
  const text = raw.toString('utf8')
  if (!text.includes('\\')) return text.slice(1, -1)
  try {
    // oxlint-disable-next-line no-restricted-properties -- one string of the envelope; events go through decodeEvent
    return String(JSON.parse(text))
  } catch {
    return undefined
  }
}

function pointerTo(name: string | undefined): string {
  return `/${(name ?? '').slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`
}

function tooMany(maxEvents: number): BrokenEnvelope {
  return broken('batch_too_large', '/events', `a batch has at most ${maxEvents} events`)
}

function broken(code: ProblemCode, pointer: string, detail: string): BrokenEnvelope {
  return { ok: false, code, pointer, detail }
}
