// What the live state tells others: values of metrics in `metrics.{metric}` and closed sessions in `sessions.{project}`.
// Every message is absolute and carries a revision; whoever reads keeps the highest and may drop or repeat the rest.
import { Ajv } from 'ajv'

/** Orders the values of one thing: the epoch of the state, then the number inside it. */
export type Revision = readonly [epoch: number, number: number]

/** How `value` came about; `unique` is approximate (0.81 % of standard error), of a `ratio` both parts are given. */
export type MetricKind = 'count' | 'unique' | 'sum' | 'min' | 'max' | 'ratio'

/** One value of one window. Its identity is project, metric, granularity, timestamp and dimension. */
export interface MetricMessage {
  readonly project: string
  readonly metric: string
  readonly kind: MetricKind
  readonly granularity: '1m' | '1h'
  /** Start of the window, epoch milliseconds. */
  readonly timestamp: number
  /** Absent: the whole window. `*`: what is beyond the cap. Else a JSON array with the text of each dimension. */
  readonly dimension?: string
  /** In units of the metric; of a ratio numerator by denominator, 0 when there is nothing to divide by. */
  readonly value: number
  /** Of a ratio only. Lengths of time are in milliseconds. */
  readonly numerator?: number
  readonly denominator?: number
  /** Events that the value is made of. */
  readonly count: number
  /** The window had more dimensions than are kept apart: only the value of the whole window is exact. */
  readonly capped: boolean
  readonly revision: Revision
  /** The window is closed. An event that was on time but came through late may still raise the revision. */
  readonly final: boolean
}

/** A closed session. Its identity is project, session id and `startedAt`: a client may use an id again. */
export interface SessionMessage {
  readonly project: string
  readonly sessionId: string
  /** First event when the session closed for the first time, epoch milliseconds; it stays when the session goes on. */
  readonly startedAt: number
  /** Epoch milliseconds. */
  readonly firstEventAt: number
  readonly lastEventAt: number
  readonly totalEvents: number
  readonly pageViews: number
  readonly hasConversion: boolean
  /** A hint: whether the visitor was not seen before; null when unknown. The warehouse has the truth. */
  readonly isNew: boolean | null
  /** Empty texts where no event said. */
  readonly userId: string
  readonly trafficSource: string
  readonly deviceType: string
  readonly country: string
  readonly entryPage: string
  readonly exitPage: string
  readonly revision: Revision
  readonly final: true
}

/** Key and value of a record. */
export interface EmittedRecord {
  readonly key: string
  readonly value: Buffer
}

/** The record of a metric value. All revisions of one value have one key and so one partition. */
export function encodeMetric(message: MetricMessage): EmittedRecord {
  const { project, granularity, timestamp, dimension } = message
  const key = `${project}:${granularity}:${timestamp}${dimension === undefined ? '' : `:${dimension}`}`
  return { key, value: Buffer.from(JSON.stringify(message)) }
}

/** The record of a closed session, keyed by the session id. */
export function encodeSession(message: SessionMessage): EmittedRecord {
  return { key: message.sessionId, value: Buffer.from(JSON.stringify(message)) }
}

/** The message of a record of `metrics.{metric}`; undefined for anything else. Members it does not know are left. */
export function decodeMetric(value: Buffer | null): MetricMessage | undefined {
  const message = parse(value)
  return isMetric(message) && (message.kind !== 'ratio' || hasParts(message)) ? message : undefined
}

/** The message of a record of `sessions.{project}`; undefined for anything else. */
export function decodeSession(value: Buffer | null): SessionMessage | undefined {
  const message = parse(value)
  return isSession(message) ? message : undefined
}

/** Above 0 when `a` is newer than `b`, 0 when both are the same. */
export function compareRevisions(a: Revision, b: Revision): number {
  return a[0] - b[0] || a[1] - b[1]
}

const text = { type: 'string' } as const
const whole = { type: 'integer', minimum: 0 } as const
const flag = { type: 'boolean' } as const
const revision = { type: 'array', items: [whole, whole], minItems: 2, additionalItems: false } as const

const ajv = new Ajv({ strictTuples: false })

const isMetric = ajv.compile<MetricMessage>({
  $id: 'urn:millrace:metric-message',
  type: 'object',
  required: 'project metric kind granularity timestamp value count capped revision final'.split(' '),
  properties: {
    project: text,
    metric: text,
    kind: { enum: ['count', 'unique', 'sum', 'min', 'max', 'ratio'] },
    granularity: { enum: ['1m', '1h'] },
    timestamp: whole,
    dimension: text,
    value: { type: 'number' },
    numerator: { type: 'number' },
    denominator: { type: 'number' },
    count: whole,
    capped: flag,
    revision,
    final: flag
  }
})

const isSession = ajv.compile<SessionMessage>({
  $id: 'urn:millrace:session-message',
  type: 'object',
  required: (
    'project sessionId startedAt firstEventAt lastEventAt totalEvents pageViews hasConversion isNew userId ' +
    'trafficSource deviceType country entryPage exitPage revision final'
  ).split(' '),
  properties: {
    project: text,
    sessionId: text,
    startedAt: whole,
    firstEventAt: whole,
    lastEventAt: whole,
    totalEvents: whole,
    pageViews: whole,
    hasConversion: flag,
    isNew: { enum: [true, false, null] },
    userId: text,
    trafficSource: text,
    deviceType: text,
    country: text,
    entryPage: text,
    exitPage: text,
    revision,
    final: { const: true }
  }
})

function hasParts({ numerator, denominator }: MetricMessage): boolean {
  return numerator !== undefined && denominator !== undefined
}

function parse(value: Buffer | null): unknown {
  if (value === null) return undefined
  try {
    return JSON.parse(value.toString('utf8'))
  } catch {
    return undefined
  }
}
