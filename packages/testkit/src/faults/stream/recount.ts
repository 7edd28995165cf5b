// What the live state of a project must be, counted again from its raw log in the plainest way: parse every record, keep
// one on-time copy of each event, and sort all events into windows and sessions. It shares no code with the fold, the
// scripts or the enrichment: what the enrichment would say of an event stands in the event itself (`expect`).

/** One record of a raw log. */
export interface RawEntry {
  readonly partition: number
  readonly offset: bigint
  readonly value: Buffer | null
  readonly appendedAtMs: number
}

export interface RecountOptions {
  readonly latenessMs: number
  readonly conversionTypes?: readonly string[]
}

/** One dimension of a window. */
export interface CountedValue {
  count: number
  /** In millionths. */
  sum: bigint
  readonly members: Set<string>
}

export interface CountedWindow {
  readonly metric: string
  readonly granularity: '1m' | '1h'
  readonly startMs: number
  readonly endMs: number
  events: number
  /** By dimension: empty text for the total, else the JSON array of its texts. */
  readonly values: Map<string, CountedValue>
}

export interface CountedSession {
  readonly sessionId: string
  readonly firstEventAt: number
  readonly lastEventAt: number
  readonly totalEvents: number
  readonly pageViews: number
  readonly hasConversion: boolean
  readonly userId: string
  readonly trafficSource: string
  readonly deviceType: string
  readonly country: string
  readonly entryPage: string
  readonly exitPage: string
}

/** A project's log counted again. */
export interface Recount {
  /** By `<metric>:<granularity>:<start>`; those that sessions make are not among them. */
  readonly windows: ReadonlyMap<string, CountedWindow>
  readonly sessions: ReadonlyMap<string, CountedSession>
  readonly counts: {
    readonly records: number
    /** Distinct events with an on-time copy. */
    readonly events: number
    /** Records of an event beyond its first. */
    readonly copies: number
    /** Late records, copies included. */
    readonly late: number
    readonly notEvents: number
    /** Values of a sum that are no number or too large. */
    readonly badValues: number
  }
}

/** What an enrichment finds out about the sender of an event; the writer of the log puts it into `properties.expect`. */
export interface Expected {
  readonly trafficSource: string
  readonly deviceType: string
  readonly country: string
}

interface Counted {
  readonly eventId: string
  readonly eventType: string
  readonly atMs: number
  readonly userId: string
  readonly anonymousId: string
  readonly sessionId: string
  readonly path: string
  readonly revenue: unknown
  readonly expect: Expected
}

const lengths = { '1m': 60_000, '1h': 3_600_000 } as const
const largestValue = 1e9
const latest = Date.UTC(2100, 0, 1)
const clockTolerance = 60_000

/** Counts the whole of `log`. */
export function recount(log: readonly RawEntry[], options: RecountOptions): Recount {
  const conversions = new Set(options.conversionTypes ?? ['purchase'])
  const taken = new Map<string, Counted>()
  const ids = new Set<string>()
  let [copies, late, notEvents] = [0, 0, 0]
  for (const { value, appendedAtMs } of log) {
    const event = readEvent(value, appendedAtMs)
    if (event === undefined) {
      notEvents++
      continue
    }
    if (ids.has(event.eventId)) copies++
    ids.add(event.eventId)
    if (appendedAtMs - event.atMs > options.latenessMs) late++
    else if (!taken.has(event.eventId)) taken.set(event.eventId, event)
  }
  const events = [...taken.values()]
  const { windows, badValues } = countWindows(events, conversions)
  const counts = { records: log.length, events: events.length, copies, late, notEvents, badValues }
  return { windows, sessions: countSessions(events, conversions), counts }
}

function countWindows(events: readonly Counted[], conversions: ReadonlySet<string>) {
  const windows = new Map<string, CountedWindow>()
  let badValues = 0
  const add = (event: Counted, metric: string, share: Share): void => {
    for (const granularity of ['1m', '1h'] as const) {
      const length = lengths[granularity]
      const startMs = Math.floor(event.atMs / length) * length
      const name = `${metric}:${granularity}:${startMs}`
      const held = windows.get(name)
      const made = { metric, granularity, startMs, endMs: startMs + length, events: 0, values: new Map() }
      const window: CountedWindow = held ?? made
      if (held === undefined) windows.set(name, window)
      window.events++
      for (const dimension of share.dimension === undefined ? [''] : ['', JSON.stringify([share.dimension])]) {
        const value = window.values.get(dimension) ?? { count: 0, sum: 0n, members: new Set() }
        window.values.set(dimension, value)
        value.count++
        value.sum += share.sum ?? 0n
        if (share.member !== undefined) value.members.add(share.member)
      }
    }
  }
  for (const event of events) {
    const { eventType, userId, anonymousId, sessionId, path, revenue } = event
    add(event, 'events', { dimension: eventType })
    if (userId !== '') add(event, 'active_users', { member: `user ${userId}` })
    else if (anonymousId !== '') add(event, 'active_users', { member: `anonymous ${anonymousId}` })
    if (sessionId !== '') add(event, 'sessions', { member: sessionId })
    if (eventType === 'page_view') add(event, 'page_views', { dimension: path })
    if (!conversions.has(eventType)) continue
    add(event, 'conversions', { dimension: eventType })
    if (revenue === undefined || revenue === null) continue
    if (typeof revenue !== 'number' || Math.abs(revenue) > largestValue) badValues++
    else add(event, 'revenue', { sum: BigInt(Math.round(revenue * 1e6)) })
  }
  return { windows, badValues }
}

interface Share {
  readonly dimension?: string
  readonly member?: string
  readonly sum?: bigint
}

function countSessions(events: readonly Counted[], conversions: ReadonlySet<string>): Map<string, CountedSession> {
  const bySession = Map.groupBy(
    events.filter(({ sessionId }) => sessionId !== ''),
    ({ sessionId }) => sessionId
  )
  const sessions = new Map<string, CountedSession>()
  for (const [sessionId, unordered] of bySession) {
    const ordered = unordered.toSorted((a, b) => a.atMs - b.atMs || Buffer.compare(bytes(a.eventId), bytes(b.eventId)))
    const [first] = ordered
    const last = ordered.at(-1)
    if (first === undefined || last === undefined) continue
    const withPath = ordered.filter(({ path }) => path !== '')
    sessions.set(sessionId, {
      sessionId,
      firstEventAt: first.atMs,
      lastEventAt: last.atMs,
      totalEvents: ordered.length,
      pageViews: ordered.filter(({ eventType }) => eventType === 'page_view').length,
      hasConversion: ordered.some(({ eventType }) => conversions.has(eventType)),
      userId: ordered.findLast(({ userId }) => userId !== '')?.userId ?? '',
      ...first.expect,
      entryPage: withPath[0]?.path ?? '',
      exitPage: withPath.at(-1)?.path ?? ''
    })
  }
  return sessions
}

const bytes = (text: string): Buffer => Buffer.from(text)

type Fields = Readonly<Record<string, unknown>>

function readEvent(value: Buffer | null, appendedAtMs: number): Counted | undefined {
  const event = asFields(parse(value))
  const { eventId, eventType } = event
  if (typeof eventId !== 'string' || typeof eventType !== 'string') return undefined
  const atMs = timeOf(event, appendedAtMs)
  if (atMs === undefined) return undefined
  const properties = asFields(event['properties'])
  const expect = asFields(properties['expect'])
  return {
    eventId,
    eventType,
    atMs,
    userId: text(event['userId']),
    anonymousId: text(event['anonymousId']),
    sessionId: text(event['sessionId']),
    path: text(asFields(asFields(event['context'])['page'])['path']),
    revenue: properties['revenue'],
    expect: {
      trafficSource: text(expect['trafficSource']),
      deviceType: text(expect['deviceType']),
      country: text(expect['country'])
    }
  }
}

/** The time of an event: what its client says, put right by the client's own clock, and never after its receipt. */
function timeOf({ timestamp, sentAt, receivedAt }: Fields, appendedAtMs: number): number | undefined {
  // The schema of events has times as texts.
  if ([timestamp, sentAt, receivedAt].some((time) => time !== undefined && typeof time !== 'string')) return undefined
  const received = receivedAt === undefined ? appendedAtMs : Date.parse(String(receivedAt))
  const sent = sentAt === undefined ? received : Date.parse(String(sentAt))
  const said = timestamp === undefined ? received : Date.parse(String(timestamp))
  const shift = timestamp === undefined || Math.abs(received - sent) <= clockTolerance ? 0 : received - sent
  const atMs = Math.min(said + shift, received)
  return [received, sent, atMs].every((time) => time >= 0 && time < latest) ? atMs : undefined
}

function parse(value: Buffer | null): unknown {
  try {
    return JSON.parse(value?.toString() ?? '')
  } catch {
    return undefined
  }
}

function asFields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {}
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
