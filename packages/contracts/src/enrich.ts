// One record of the raw log -> one row. Every sink calls this function, so they agree on every value, and a better
// version plus a replay improves history. Pure: time, place and project come from the record and its topic alone.
// Between versions it never changes eventId, eventType or the day of a record: they are the row's identity.
import type { EventRow } from './columns.ts'
import type { EventContext } from './event.ts'
import { resolveEventTime } from './event-time.ts'
import type { EventTime } from './event-time.ts'
import { parseIsoTime } from './iso-time.ts'
import { readStoredEvent } from './stored-event.ts'
import type { StoredEvent } from './stored-event.ts'
import { parseTopic } from './topic-names.ts'
import { classifyTraffic, pathOf } from './traffic-source.ts'
import { scanUserAgent } from './user-agent.ts'

/** Raised when the function gives another row for the same record; rows of a higher version replace lower ones. */
export const ENRICH_VERSION = 1

/** The part of a record that its row depends on. A redriven record has the coordinates of the original. */
export interface RawRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly value: Buffer | null
  /** Broker append time, epoch milliseconds. */
  readonly appendedAtMs: number
}

/**
 * The row of a record, or why it has none. `dependsOnReceipt`: another copy of the event, received at another time, may
 * have another event time. `detail` names the place, never the content.
 */
export type Enriched =
  | { readonly ok: true; readonly row: EventRow; readonly dependsOnReceipt: boolean }
  | { readonly ok: false; readonly reason: 'parse' | 'schema' | 'constraint'; readonly detail: string }

/** Times of rows: from 1970, where the table's days begin, up to 2100. */
const latestMs = Date.UTC(2100, 0, 1)

/** The row of `record`. Never throws, whatever the bytes are. */
export function enrich(record: RawRecord): Enriched {
  const topic = parseTopic(record.topic)
  if (topic?.family !== 'raw') return refuse('constraint', 'the topic is not a raw topic of a project')
  const appendedAt = record.appendedAtMs
  if (!isTime(appendedAt)) return refuse('constraint', 'the append time is out of range')
  const read = readStoredEvent(record.value)
  if (!read.ok) return read
  const { event } = read
  const receivedAt = event.receivedAt === undefined ? appendedAt : parseIsoTime(event.receivedAt)
  if (!isTime(receivedAt)) return refuse('schema', '/receivedAt is not a time from 1970 to 2100')
  const time = resolveEventTime(event, receivedAt)
  if (!time.ok) return refuse('schema', `/${time.member} is not an ISO 8601 date and time with a zone`)
  if (!isTime(time.timestampMs)) return refuse('schema', '/timestamp is before 1970')
  if (time.sentAtMs !== undefined && !isTime(time.sentAtMs)) return refuse('schema', '/sentAt is not from 1970 to 2100')
  const row = toRow(record, event, { projectId: topic.parameter, receivedAt, time })
  return { ok: true, row, dependsOnReceipt: time.dependsOnReceipt }
}

interface Facts {
  readonly projectId: string
  readonly receivedAt: number
  readonly time: EventTime
}

function toRow(record: RawRecord, event: StoredEvent, { projectId, receivedAt, time }: Facts): EventRow {
  const { context } = event
  // A server that forwards its users' events names their agent and address in the context; it goes before its own.
  const userAgent = clean(context?.userAgent ?? event.userAgent)
  const visit = toVisit(context)
  const agent = scanUserAgent(userAgent)
  return {
    projectId,
    eventId: event.eventId,
    eventType: event.eventType,
    userId: event.userId ?? '',
    anonymousId: event.anonymousId ?? '',
    sessionId: event.sessionId ?? '',
    timestamp: time.timestampMs,
    sentAt: time.sentAtMs ?? null,
    receivedAt,
    appendedAt: record.appendedAtMs,
    latenessMs: record.appendedAtMs - time.timestampMs,
    url: visit.url,
    path: visit.path,
    referrer: visit.referrer,
    title: visit.title,
    campaignSource: visit.campaignSource,
    campaignMedium: visit.campaignMedium,
    campaignName: visit.campaignName,
    campaignTerm: visit.campaignTerm,
    campaignContent: visit.campaignContent,
    trafficSource: visit.trafficSource,
    userAgent,
    deviceType: agent.deviceType,
    os: agent.os,
    browser: agent.browser,
    isBot: agent.isBot,
    ip: clean(context?.ip ?? event.ip),
    country: '',
    locale: clean(context?.locale),
    libraryName: clean(context?.library?.name),
    libraryVersion: clean(context?.library?.version),
    properties: event.properties === undefined ? '{}' : JSON.stringify(event.properties),
    schemaVersion: event.schemaVersion ?? 0,
    enrichVersion: ENRICH_VERSION,
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    version: rowVersion(ENRICH_VERSION, record.appendedAtMs, record.offset)
  }
}

/** The columns that tell where a visit came from and where it is. */
function toVisit(context: EventContext | undefined) {
  const page = context?.page
  const campaign = context?.campaign
  const url = clean(page?.url)
  const referrer = clean(page?.referrer)
  const campaignSource = clean(campaign?.source)
  const campaignMedium = clean(campaign?.medium)
  return {
    url,
    path: page?.path === undefined ? pathOf(url) : clean(page.path),
    referrer,
    title: clean(page?.title),
    campaignSource,
    campaignMedium,
    campaignName: clean(campaign?.name),
    campaignTerm: clean(campaign?.term),
    campaignContent: clean(campaign?.content),
    trafficSource: classifyTraffic({ source: campaignSource, medium: campaignMedium, referrer, url })
  }
}

/**
 * The rank of a row among the copies of its event, as a decimal UInt64: a newer enrichment first, then the earliest
 * append, then the lowest offset (modulo 4096). 10 bits of version, 42 of append time, 12 of offset.
 */
export function rowVersion(enrichVersion: number, appendedAtMs: number, offset: bigint): string {
  const before = (1n << 42n) - 1n - BigInt(appendedAtMs)
  const version = (BigInt(enrichVersion) << 54n) + (before << 12n) + (4_095n - (offset & 4_095n))
  return version.toString()
}

/** Half surrogate pairs cannot be UTF-8; in free text they become the replacement character. */
function clean(text: string | undefined): string {
  return text === undefined ? '' : text.toWellFormed()
}

function isTime(ms: number | undefined): ms is number {
  return ms !== undefined && Number.isSafeInteger(ms) && ms >= 0 && ms < latestMs
}

function refuse(reason: 'schema' | 'constraint', detail: string): Enriched {
  return { ok: false, reason, detail }
}
