// A raw record -> the COPY line of its row in `raw_events`: bytes, made when the record arrives. A pure function of the
// record but for where they lie. Only the policy `full` needs more of an event than who did what and when.
import { dateEvent, textMember, toStorableJson } from '@millrace/contracts'
import type { Enrich, EventRow, RawRecord } from '@millrace/contracts'
import { createLines, createPutTime, mostBytesOf, putCopyText, putNull, timeBytes } from '@millrace/stores/tab-lines'
import type { Line } from '@millrace/stores/tab-lines'

/** What the column `metadata` holds: nothing, the event's properties, or these beside where and on what it happened. */
export const metadataPolicies = ['properties', 'full', 'none'] as const
export type MetadataPolicy = (typeof metadataPolicies)[number]

/** A row, and its UTC day as days since 1970. */
export interface RecordedRow {
  readonly day: number
  readonly line: Line
}

/** Objects of a row beside its line, in bytes, at most. */
const rowOverhead = 300

/** Bytes of memory that a row holds. */
export function rowBytes({ line }: RecordedRow): number {
  return rowOverhead + (line.end - line.start)
}

/** The row of a record, or nothing: the processor writes the letter of what is not an event. */
export type ToRow = (record: RawRecord) => Recorded
type Recorded =
  | { readonly kind: 'item'; readonly item: RecordedRow }
  | { readonly kind: 'skip'; readonly reason: 'invalid' }

export const dayMs = 86_400_000

/** Columns of a line, in its order. */
export const columns =
  'project_id, event_id, day, event_type, event_action, session_id, user_id, anonymous_id, ' +
  '"timestamp", received_at, appended_at, topic, "partition", "offset", metadata'

/** What a row holds of an event; absent texts are empty, times are epoch milliseconds. */
type Facts = Pick<
  EventRow,
  'projectId' | 'eventId' | 'eventType' | 'userId' | 'anonymousId' | 'sessionId' | 'timestamp' | 'receivedAt'
> & {
  readonly action: string
  readonly metadata: string
}

/** The rows of records under `policy`. */
export function createToRow(policy: MetadataPolicy, enrich: Enrich): ToRow {
  const toLine = createToLine()
  const factsOf = policy === 'full' ? wholeFacts(enrich) : plainFacts(policy)
  return (record) => {
    const facts = factsOf(record)
    if (facts === undefined) return { kind: 'skip', reason: 'invalid' }
    return { kind: 'item', item: { day: Math.floor(facts.timestamp / dayMs), line: toLine(record, facts) } }
  }
}

type FactsOf = (record: RawRecord) => Facts | undefined

function plainFacts(policy: 'properties' | 'none'): FactsOf {
  return (record) => {
    const dated = dateEvent(record)
    if (!dated.ok) return undefined
    const { projectId, receivedAt, time, event } = dated
    const { eventId, eventType, userId = '', anonymousId = '', sessionId = '', properties } = event
    const ids = { projectId, eventId, eventType, userId, anonymousId, sessionId }
    const action = properties?.['action']
    return {
      ...ids,
      timestamp: time.timestampMs,
      receivedAt,
      action: typeof action === 'string' ? cutAction(action) : '',
      metadata: policy === 'none' || properties === undefined ? '{}' : toStorableJson(JSON.stringify(properties))
    }
  }
}

function wholeFacts(enrich: Enrich): FactsOf {
  return (record) => {
    const enriched = enrich(record)
    if (!enriched.ok) return undefined
    const { row } = enriched
    const known = Object.fromEntries(fullMembers.map((name) => [name, row[name]]).filter(([, value]) => value !== ''))
    const metadata = toStorableJson(`{"properties":${row.properties},${JSON.stringify(known).slice(1)}`)
    return { ...row, action: cutAction(textMember(row.properties, 'action') ?? ''), metadata }
  }
}

const longestAction = 255

function cutAction(action: string): string {
  return action.slice(0, longestAction).toWellFormed()
}

/** `YYYY-MM-DD` of a day counted from 1970. */
export function dayText(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10)
}

/** A day and three times, two numbers of at most 20 digits, four NULLs, and a tab behind each column. */
const fixedBytes = 4 * timeBytes + 2 * 21 + 4 * 3 + 15

function createToLine(): (record: RawRecord, facts: Facts) => Line {
  const toLine = createLines()
  const putTime = createPutTime({ zone: true })
  const putText = putCopyText
  let last = { day: -1, text: '' }
  return (record, facts) => {
    const day = Math.floor(facts.timestamp / dayMs)
    if (day !== last.day) last = { day, text: dayText(day) }
    const { projectId, eventId, eventType, action, sessionId, userId, anonymousId, metadata } = facts
    const ids = eventId.length + sessionId.length + userId.length + anonymousId.length
    const names = projectId.length + eventType.length + action.length + record.topic.length
    return toLine(mostBytesOf(ids + names + metadata.length) + fixedBytes, (bytes, start) => {
      let at = putText(bytes, start, projectId)
      at = putText(bytes, at, eventId)
      at = putText(bytes, at, last.text)
      at = putText(bytes, at, eventType)
      for (const text of [action, sessionId, userId, anonymousId])
        at = text === '' ? putNull(bytes, at) : putText(bytes, at, text)
      at = putTime(bytes, at, facts.timestamp)
      at = putTime(bytes, at, facts.receivedAt)
      at = putTime(bytes, at, record.appendedAtMs)
      at = putText(bytes, at, record.topic)
      at = putText(bytes, at, String(record.partition))
      at = putText(bytes, at, String(record.offset))
      return putText(bytes, at, metadata)
    })
  }
}

const fullMembers = [
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
  'isBot',
  'country',
  'locale',
  'libraryName',
  'libraryVersion'
] as const satisfies readonly (keyof EventRow)[]
