// One record of the raw log -> one row. Every sink calls this function, so they agree on every value, and a better
// version plus a replay improves history. Pure: time, place and project come from the record and its topic alone; only
// the country may come from a database of addresses, which is handed in and has to be the same for every sink.
// Between versions it never changes eventId, eventType or the day of a record: they are the row's identity.
import type { EventRow } from './columns.ts'
import { countryCode } from './country.ts'
import type { EventContext } from './event.ts'
import { resolveEventTime } from './event-time.ts'
import type { EventTime } from './event-time.ts'
import { parseIsoTime } from './iso-time.ts'
import { arrivalOf, pathOf, spellPath } from './page-url.ts'
import { readStoredEvent } from './stored-event.ts'
import type { StoredEvent } from './stored-event.ts'
import { parseTopic } from './topic-names.ts'
import { classifyTraffic } from './traffic-source.ts'
import { createAgentScanner, scanUserAgent } from './user-agent.ts'
import type { UserAgentFacts } from './user-agent.ts'

/** Raised when the function gives another row for the same record; rows of a higher version replace lower ones. */
export const ENRICH_VERSION = 2

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

/** What an enrichment asks beside the record. */
interface Lookups {
  readonly agentOf: (userAgent: string) => UserAgentFacts
  /** ISO 3166 code of the country of an address (any text); empty when it is not known. */
  readonly countryOf: (ip: string) => string
}

const plainLookups: Lookups = { agentOf: scanUserAgent, countryOf: () => '' }

/** Makes rows of records. */
export type Enrich = (record: RawRecord) => Enriched

export interface EnrichOptions {
  /** As of `openCountryLookup`; without it only a header of a proxy names countries. */
  readonly countryOf?: (ip: string) => string
  /** User agents that are remembered; default 5,000, some 3 MB. */
  readonly agents?: number
}

/** `enrich` for a service: it remembers user agents and looks countries up. */
export function createEnrich({ countryOf = plainLookups.countryOf, agents = 5_000 }: EnrichOptions = {}): Enrich {
  const lookups = { agentOf: createAgentScanner(agents), countryOf }
  return (record) => enrich(record, lookups)
}

/** Times of rows: from 1970, where the table's days begin, up to 2100. */
const latestMs = Date.UTC(2100, 0, 1)

/** The row of `record`. Never throws, whatever the bytes are. */
export function enrich(record: RawRecord, lookups: Lookups = plainLookups): Enriched {
  const dated = dateEvent(record)
  if (!dated.ok) return dated
  const { event, projectId, receivedAt, time } = dated
  const row = toRow(record, event, { projectId, receivedAt, time, lookups })
  return { ok: true, row, dependsOnReceipt: time.dependsOnReceipt }
}

/** The event of a record with its times: what its row begins with, and what no version of `enrich` changes. */
export type DatedEvent =
  | {
      readonly ok: true
      readonly event: StoredEvent
      readonly projectId: string
      readonly receivedAt: number
      readonly time: EventTime
    }
  | Extract<Enriched, { ok: false }>

/** The first half of `enrich`, for those who need no more: a record has a row exactly when it has a dated event. */
export function dateEvent(record: RawRecord): DatedEvent {
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
  return { ok: true, event, projectId: topic.parameter, receivedAt, time }
}

interface Facts {
  readonly projectId: string
  readonly receivedAt: number
  readonly time: EventTime
  readonly lookups: Lookups
}

function toRow(record: RawRecord, event: StoredEvent, { projectId, receivedAt, time, lookups }: Facts): EventRow {
  const { context } = event
  // A server that forwards its users' events names their agent and address in the context; it goes before its own.
  const userAgent = clean(context?.userAgent ?? event.userAgent)
  const visit = toVisit(context)
  const agent = lookups.agentOf(userAgent)
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
    country: countryOf(event, lookups),
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

/** The header of a proxy tells of whoever sent the request, which is not the one whose address the context names. */
function countryOf({ context, country, ip }: StoredEvent, lookups: Lookups): string {
  if (context?.ip !== undefined) return countryCode(lookups.countryOf(context.ip))
  const told = countryCode(country)
  return told === '' && ip !== undefined ? countryCode(lookups.countryOf(ip)) : told
}

/** The columns that tell where a visit came from and where it is. */
function toVisit(context: EventContext | undefined) {
  const page = context?.page
  const url = clean(page?.url)
  const referrer = clean(page?.referrer)
  const arrival = arrivalOf(url)
  // A campaign that the client names is taken whole: parts of two campaigns would make a third one.
  const campaign = context?.campaign === undefined ? arrival.campaign : namedCampaign(context.campaign)
  return {
    url,
    path: page?.path === undefined ? pathOf(url) : spellPath(clean(page.path)),
    referrer,
    title: clean(page?.title),
    campaignSource: campaign.source,
    campaignMedium: campaign.medium,
    campaignName: campaign.name,
    campaignTerm: campaign.term,
    campaignContent: campaign.content,
    trafficSource: classifyTraffic({ url, referrer, campaign, hasClickId: arrival.hasClickId })
  }
}

function namedCampaign({ source, medium, name, term, content }: NonNullable<EventContext['campaign']>) {
  return {
    source: clean(source),
    medium: clean(medium),
    name: clean(name),
    term: clean(term),
    content: clean(content)
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

function refuse(reason: 'schema' | 'constraint', detail: string): Extract<Enriched, { ok: false }> {
  return { ok: false, reason, detail }
}
