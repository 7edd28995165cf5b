// What the stores know of one event by its id: the row of the warehouse, the one of raw_events, and the file of the archive.
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Queryable, Row } from '@millrace/stores/postgres'

/** A record of the log. */
export interface TrailPlace {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly appendedAt: string
}

export interface Known {
  readonly place: TrailPlace
  readonly eventType: string
  readonly timestamp: string
}

/** An event by its name. */
export interface EventName {
  readonly projectId: string
  readonly eventId: string
}

interface ShownColumns {
  readonly eventType: string
  readonly at: string
  readonly topic: string
  readonly partition: number
  readonly offset: string
  readonly appended: string
  readonly latenessMs: string
  readonly rows: string
}

/** The row that stands: of several with one key the highest version. */
export async function shownRow(
  { clickhouse }: { readonly clickhouse: Pick<Clickhouse, 'rows'> },
  { projectId, eventId }: EventName
): Promise<(Known & { readonly rows: number; readonly latenessMs: number }) | undefined> {
  const [row] = await clickhouse.rows<ShownColumns>(
    `SELECT eventType, toString(toUnixTimestamp64Milli(timestamp)) AS at, topic, partition, offset,
       toString(toUnixTimestamp64Milli(appendedAt)) AS appended, latenessMs, count() OVER () AS rows
     FROM events_raw
     WHERE projectId = {projectId:String} AND cityHash64(eventId) = cityHash64({eventId:String})
       AND eventId = {eventId:String}
     ORDER BY version DESC LIMIT 1`,
    { projectId, eventId }
  )
  if (row === undefined) return undefined
  const { eventType, at, topic, partition, offset, appended, latenessMs, rows } = row
  return {
    place: { topic, partition, offset: BigInt(offset), appendedAt: iso(Number(appended)) },
    eventType,
    timestamp: iso(Number(at)),
    rows: Number(rows),
    latenessMs: Number(latenessMs)
  }
}

interface RecordedColumns extends Row {
  readonly event_type: string
  readonly timestamp: Date
  readonly topic: string
  readonly partition: number
  readonly offset: string
  readonly appended_at: Date
}

const dayMs = 86_400_000
/** Days that are asked at most: the key of raw_events begins with the day. */
const recordedDays = 120

export async function recordedRow(
  { postgres, nowMs }: { readonly postgres: Queryable; readonly nowMs: number },
  { projectId, eventId }: EventName
): Promise<Known | undefined> {
  const days = Array.from({ length: recordedDays }, (_, index) => iso(nowMs + dayMs - index * dayMs).slice(0, 10))
  const [row] = await postgres.query<RecordedColumns>(
    `SELECT event_type, "timestamp", topic, "partition", "offset"::text AS "offset", appended_at FROM raw_events
     WHERE day = ANY($1::date[]) AND project_id = $2 AND event_id = $3 LIMIT 1`,
    [days, projectId, eventId]
  )
  if (row === undefined) return undefined
  const { event_type, timestamp, topic, partition, offset, appended_at } = row
  return {
    place: { topic, partition, offset: BigInt(offset), appendedAt: appended_at.toISOString() },
    eventType: event_type,
    timestamp: timestamp.toISOString()
  }
}

/** The file that holds a record, both ends included. */
export interface HoldingFile {
  readonly key: string
  readonly first: bigint
  readonly last: bigint
}

interface FileColumns extends Row {
  readonly object_key: string
  readonly first_offset: string
  readonly last_offset: string
}

/** Of several logs of one name the newest one: an event that is known has its place in the present one. */
export async function fileOf(
  { postgres }: { readonly postgres: Queryable },
  place: TrailPlace | undefined
): Promise<HoldingFile | undefined> {
  if (place === undefined) return undefined
  const [row] = await postgres.query<FileColumns>(
    `SELECT object_key, first_offset::text, last_offset::text FROM archive_files
       JOIN archive_heads ON archive_heads.id = head_id
     WHERE topic = $1 AND "partition" = $2 AND $3::bigint BETWEEN first_offset AND last_offset
     ORDER BY epoch DESC LIMIT 1`,
    [place.topic, place.partition, String(place.offset)]
  )
  if (row === undefined) return undefined
  return { key: row.object_key, first: BigInt(row.first_offset), last: BigInt(row.last_offset) }
}

/** Epoch milliseconds as ISO 8601. */
export function iso(ms: number): string {
  return new Date(ms).toISOString()
}
