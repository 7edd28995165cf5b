// A raw record -> the COPY line of its row in `raw_events`. Pure, and made when the record arrives, so that a buffer
// holds one text per event.
import { textMember, toStorableJson } from '@millrace/contracts'
import type { Enrich, EventRow, RawRecord } from '@millrace/contracts'
import { copyLine } from '@millrace/stores/copy-text'

/** What the column `metadata` holds: nothing, the event's properties, or these beside where and on what it happened. */
export const metadataPolicies = ['properties', 'full', 'none'] as const
export type MetadataPolicy = (typeof metadataPolicies)[number]

/** A row, and its UTC day as days since 1970. */
export interface RecordedRow {
  readonly day: number
  readonly line: string
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

/** The rows of records under `policy`. */
export function createToRow(policy: MetadataPolicy, enrich: Enrich): ToRow {
  return (record) => {
    const enriched = enrich(record)
    return enriched.ok ? { kind: 'item', item: toRow(enriched.row, policy) } : { kind: 'skip', reason: 'invalid' }
  }
}

/** `YYYY-MM-DD` of a day counted from 1970. */
export function dayText(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10)
}

function toRow(row: EventRow, policy: MetadataPolicy): RecordedRow {
  const day = Math.floor(row.timestamp / dayMs)
  const line = copyLine([
    row.projectId,
    row.eventId,
    dayText(day),
    row.eventType,
    actionOf(row.properties),
    row.sessionId === '' ? null : row.sessionId,
    row.userId === '' ? null : row.userId,
    row.anonymousId === '' ? null : row.anonymousId,
    timeText(row.timestamp),
    timeText(row.receivedAt),
    timeText(row.appendedAt),
    row.topic,
    row.partition,
    row.offset,
    toStorableJson(metadataOf(row, policy))
  ])
  return { day, line }
}

function timeText(ms: number): string {
  return new Date(ms).toISOString()
}

const longestAction = 255

/** The `action` of the event when it has one that is a text; long ones are cut. */
function actionOf(properties: string): string | null {
  const action = textMember(properties, 'action')
  return action === undefined || action === '' ? null : action.slice(0, longestAction).toWellFormed()
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

function metadataOf(row: EventRow, policy: MetadataPolicy): string {
  if (policy === 'none') return '{}'
  if (policy === 'properties') return row.properties
  const known = Object.fromEntries(fullMembers.map((name) => [name, row[name]]).filter(([, value]) => value !== ''))
  return `{"properties":${row.properties},${JSON.stringify(known).slice(1)}`
}
