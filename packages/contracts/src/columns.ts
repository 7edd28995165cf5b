// The row of an event, declared once: the columns of `events_raw`, of the processed topic and of the query surface.
// Additive only: a column is appended before `version`, first in the table, then here.

const time = "DateTime64(3, 'UTC')"

/** Name, ClickHouse type and meaning of every column, in the order of the table and of the row line. */
export const eventColumns = [
  { name: 'projectId', type: 'LowCardinality(String)', doc: 'Project, from the name of the topic.' },
  { name: 'eventId', type: 'String', doc: 'Idempotency key: an event is visible once per project and eventId.' },
  { name: 'eventType', type: 'LowCardinality(String)', doc: 'What happened, such as page_view or purchase.' },
  { name: 'userId', type: 'String', doc: 'Known user; empty when the event has none.' },
  { name: 'anonymousId', type: 'String', doc: 'Device or browser before login; empty when the event has none.' },
  { name: 'sessionId', type: 'String', doc: 'Session chosen by the client; empty when the event has none.' },
  { name: 'timestamp', type: time, doc: 'Event time after correction of the client clock.' },
  { name: 'sentAt', type: `Nullable(${time})`, doc: 'When the client sent the event, by its own clock.' },
  { name: 'receivedAt', type: time, doc: 'When the gateway received the event.' },
  { name: 'appendedAt', type: time, doc: 'When the broker appended the event to the raw log.' },
  { name: 'latenessMs', type: 'Int64', doc: 'appendedAt minus timestamp, in milliseconds.' },
  { name: 'url', type: 'String', doc: 'URL of the page.' },
  { name: 'path', type: 'String', doc: 'Path of the page, taken from url when the client sends none.' },
  { name: 'referrer', type: 'String', doc: 'URL of the page before.' },
  { name: 'title', type: 'String', doc: 'Title of the page.' },
  { name: 'campaignSource', type: 'LowCardinality(String)', doc: 'Campaign source (utm_source).' },
  { name: 'campaignMedium', type: 'LowCardinality(String)', doc: 'Campaign medium (utm_medium).' },
  { name: 'campaignName', type: 'LowCardinality(String)', doc: 'Campaign name (utm_campaign).' },
  { name: 'campaignTerm', type: 'String', doc: 'Campaign term (utm_term).' },
  { name: 'campaignContent', type: 'String', doc: 'Campaign content (utm_content).' },
  {
    name: 'trafficSource',
    type: 'LowCardinality(String)',
    doc: 'Class of the campaign or referrer; direct without both.'
  },
  { name: 'userAgent', type: 'String', doc: 'User agent of the client, else of the request by project policy.' },
  { name: 'deviceType', type: 'LowCardinality(String)', doc: 'desktop, mobile, tablet, tv, bot or empty.' },
  { name: 'os', type: 'LowCardinality(String)', doc: 'Operating system family, or empty.' },
  { name: 'browser', type: 'LowCardinality(String)', doc: 'Browser family, or empty.' },
  { name: 'isBot', type: 'Bool', doc: 'Whether the user agent names an automated client.' },
  { name: 'ip', type: 'String', doc: 'Address of the client, kept only by project policy.' },
  { name: 'country', type: 'LowCardinality(String)', doc: 'ISO 3166 country code; empty when it is not configured.' },
  { name: 'locale', type: 'LowCardinality(String)', doc: 'Locale of the client, such as de-CH.' },
  { name: 'libraryName', type: 'LowCardinality(String)', doc: 'SDK that sent the event.' },
  { name: 'libraryVersion', type: 'LowCardinality(String)', doc: 'Version of that SDK.' },
  { name: 'properties', type: 'String', doc: 'Properties of the event as JSON text.' },
  {
    name: 'schemaVersion',
    type: 'UInt32',
    doc: 'Version of the registered schema the event was checked by; 0 = none.'
  },
  { name: 'enrichVersion', type: 'UInt16', doc: 'Version of the function that made the row.' },
  { name: 'topic', type: 'LowCardinality(String)', doc: 'Raw topic of the record.' },
  { name: 'partition', type: 'UInt32', doc: 'Raw partition of the record.' },
  { name: 'offset', type: 'UInt64', doc: 'Raw offset of the record.' },
  {
    name: 'version',
    type: 'UInt64',
    doc: 'Among copies of an event the highest stays: newest enrichment, first append.'
  }
] as const

/** What the view `events` adds to the columns of the table: who did the event, decided when somebody asks. */
export const personColumns = [
  { name: 'personId', type: 'String', doc: 'Person of the event by all that is known; empty when it names nobody.' },
  { name: 'personIdAtEvent', type: 'String', doc: 'Person by what was known up to the time of the event.' }
] as const

/** Name of a column. */
export type EventColumn = (typeof eventColumns)[number]['name']

/** One event as a flat row. Times are epoch milliseconds; `version` is a decimal UInt64; absent texts are empty. */
export interface EventRow {
  readonly projectId: string
  readonly eventId: string
  readonly eventType: string
  readonly userId: string
  readonly anonymousId: string
  readonly sessionId: string
  readonly timestamp: number
  readonly sentAt: number | null
  readonly receivedAt: number
  readonly appendedAt: number
  readonly latenessMs: number
  readonly url: string
  readonly path: string
  readonly referrer: string
  readonly title: string
  readonly campaignSource: string
  readonly campaignMedium: string
  readonly campaignName: string
  readonly campaignTerm: string
  readonly campaignContent: string
  readonly trafficSource: string
  readonly userAgent: string
  readonly deviceType: string
  readonly os: string
  readonly browser: string
  readonly isBot: boolean
  readonly ip: string
  readonly country: string
  readonly locale: string
  readonly libraryName: string
  readonly libraryVersion: string
  readonly properties: string
  readonly schemaVersion: number
  readonly enrichVersion: number
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly version: string
}
