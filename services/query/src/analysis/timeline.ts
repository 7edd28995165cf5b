// The events of a user in the order of their time, page by page. A page ends with a cursor that names its last event, so
// that events which come in meanwhile neither shift nor repeat anything. Large events make a page shorter. Pure.
import { parseJson } from '../json.ts'
import type { QueryAnswer } from '../run-query.ts'
import { createBinding, identities, inSpan, msOfEvent } from './bound.ts'
import type { BoundQuery, Identity } from './bound.ts'
import { WrongInput, readCount, readObject, readOneOf, readText } from './input.ts'
import { iso, readSpan } from './span.ts'
import type { Span } from './span.ts'

/** The place of an event: its time, where the log has it, and its id. */
type Place = readonly [ms: number, partition: number, offset: string, eventId: string]

export interface TimelineQuestion {
  readonly userId: string
  readonly span: Span
  readonly identity: Identity
  readonly order: 'desc' | 'asc'
  readonly limit: number
  readonly eventType: string | undefined
  readonly after: Place | undefined
}

const members = ['startTime', 'endTime', 'timezone', 'identity', 'order', 'limit', 'eventType', 'cursor']
const mostEvents = 1_000

/** Reads the address of `GET /v1/users/:userId/events`. Throws WrongInput. */
export function readTimeline(userId: string, query: unknown, nowMs: number): TimelineQuestion {
  const read = readObject(query, '', members)
  return {
    userId: readText(userId, '/userId'),
    span: readSpan(read, nowMs, 30),
    identity: readOneOf(read['identity'], '/identity', identities),
    order: readOneOf(read['order'], '/order', ['desc', 'asc']),
    limit: readCount(read['limit'], '/limit', 100, mostEvents),
    eventType: read['eventType'] === undefined ? undefined : readText(read['eventType'], '/eventType'),
    after: read['cursor'] === undefined ? undefined : readCursor(read['cursor'])
  }
}

function readCursor(value: unknown): Place {
  const place = parseJson(Buffer.from(String(value), 'base64url').toString())
  const [ms, partition, offset, eventId] = Array.isArray(place) ? (place as readonly unknown[]) : []
  const isPlace = isWhole(ms, mostMs) && isWhole(partition, 2 ** 32 - 1) && isOffset(offset)
  if (isPlace && typeof eventId === 'string') return [ms, partition, offset, eventId]
  throw new WrongInput('/cursor', 'must be the nextCursor of a page before')
}

/** Of the end of 2299. */
const mostMs = Date.UTC(2300, 0) - 1

function isWhole(value: unknown, most: number): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= most
}

function isOffset(value: unknown): value is string {
  return typeof value === 'string' && /^\d{1,20}$/.test(value) && BigInt(value) < 2n ** 64n
}

/** What a page tells of an event, beside its time, its place and its properties. */
const columns = [
  'eventId',
  'eventType',
  'userId',
  'anonymousId',
  'personId',
  'sessionId',
  'url',
  'path',
  'referrer',
  'title',
  'campaignSource',
  'campaignMedium',
  'campaignName',
  'trafficSource',
  'deviceType',
  'os',
  'browser',
  'country'
] as const

/** A page ends with the event that exceeds this: quoted it stays below what an answer may have, whatever the events hold. */
const pageBytes = 1024 ** 2

/**
 * Rows of `columns`, then time, receipt, partition, offset, properties, and how many events there are, counted up to one more
 * than a page has; of these no more than fit. `personIds` are the ids that events of the person may show.
 */
export function timelineQuery(question: TimelineQuestion, personIds: readonly string[]): BoundQuery {
  const { userId, span, identity, order, limit, eventType, after } = question
  const { bind, params } = createBinding()
  const conditions = [
    inSpan(span, bind),
    identity === 'raw' ? `userId = ${bind(userId, 'String')}` : `personId IN ${bind(personIds, 'Array(String)')}`,
    ...(eventType === undefined ? [] : [`eventType = ${bind(eventType, 'String')}`])
  ]
  if (after !== undefined) {
    const [ms, partition, offset, eventId] = after
    const sign = order === 'desc' ? '<' : '>'
    // The first one lets whole parts of the table be left out.
    conditions.push(`timestamp ${sign}= fromUnixTimestamp64Milli(${bind(ms, 'Int64')})`)
    const place = `${bind(ms, 'Int64')}, ${bind(partition, 'UInt32')}, ${bind(offset, 'UInt64')}, ${bind(eventId, 'String')}`
    conditions.push(`(${msOfEvent}, partition, offset, eventId) ${sign} (${place})`)
  }
  const sorted = ['timestamp', 'partition', 'offset', 'eventId']
    .map((name) => `${name} ${order.toUpperCase()}`)
    .join(', ')
  const shown = [...columns, 'ms', 'receivedMs', 'partition', 'toString(offset) AS place', 'properties', 'found']
  const sql = `SELECT ${shown.join(', ')} FROM (
    SELECT *, count() OVER () AS found, sum(bytes) OVER (ORDER BY ${sorted} ROWS UNBOUNDED PRECEDING) - bytes AS before FROM (
      SELECT ${columns.join(', ')}, ${msOfEvent} AS ms, toUnixTimestamp64Milli(receivedAt) AS receivedMs, partition, offset,
        properties, timestamp, byteSize(properties, ${columns.join(', ')}) AS bytes
      FROM events WHERE ${conditions.join(' AND ')} ORDER BY ${sorted} LIMIT ${limit + 1}
    )
  ) WHERE before < ${pageBytes} ORDER BY ${sorted}`
  return { sql, params }
}

/** The reply: a page, and the cursor of the next one; null when this is the last. */
export function toTimeline(
  { userId, identity, limit }: TimelineQuestion,
  personId: string | undefined,
  { rows }: Pick<QueryAnswer, 'rows'>
): object {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  const found = Number(last?.at(-1) ?? 0)
  return {
    userId,
    identity,
    ...(personId === undefined ? {} : { personId }),
    events: page.map((row) => toEvent(row)),
    nextCursor: found > page.length && last !== undefined ? cursorOf(last) : null
  }
}

function toEvent(row: readonly unknown[]): object {
  const named = Object.fromEntries(columns.map((name, index) => [name, row[index]]).filter(([, value]) => value !== ''))
  const [ms, receivedMs, , , properties] = row.slice(columns.length)
  return {
    ...named,
    timestamp: iso(Number(ms)),
    receivedAt: iso(Number(receivedMs)),
    properties: parseJson(String(properties)) ?? {}
  }
}

function cursorOf(row: readonly unknown[]): string {
  const [ms, , partition, offset] = row.slice(columns.length)
  return Buffer.from(JSON.stringify([Number(ms), Number(partition), offset, row[0]])).toString('base64url')
}
