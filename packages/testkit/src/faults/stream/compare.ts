// Compares what the live state told and holds with the recount of the log. Pure: evidence in, violations out.
//
// INV-4  each closed window and each closed session = recount; each open window read from Redis = recount so far; of
//        every value there is exactly one highest revision, and it counts the events that the value is made of
import { compareRevisions } from '@millrace/contracts'
import type { MetricMessage, SessionMessage } from '@millrace/contracts'
import type { Violation } from '../oracle.ts'
import type { CountedSession, CountedValue, CountedWindow, Recount } from './recount.ts'

/** A window as the live reader shows it, all dimensions. */
export interface LiveWindow {
  readonly events: number
  readonly closed: boolean
  readonly capped: boolean
  /** By dimension; `unique` undefined where none is counted. */
  readonly values: ReadonlyMap<
    string,
    { readonly count: number; readonly sum: bigint; readonly unique: number | undefined }
  >
}

/** What is known of one project when all of its log is applied. */
export interface StreamEvidence {
  readonly projectId: string
  readonly recount: Recount
  /** Every message about the project, in the order of its topic. */
  readonly metrics: readonly MetricMessage[]
  readonly sessions: readonly SessionMessage[]
  /** Held windows by name. */
  readonly live: ReadonlyMap<string, LiveWindow>
  readonly epoch: number
  /** Windows and sessions before this are the warehouse's. */
  readonly completeFromMs: number
  /** Windows that end, and sessions whose last event is, this long before `clockMs` must be closed and told. */
  readonly clockMs: number
  readonly settleMs: number
  readonly sessionIdleMs: number
}

/** What was compared, so that a case can tell that it compared something. */
export interface Compared {
  readonly violations: readonly Violation[]
  readonly closedWindows: number
  /** Windows that are not due and were read from Redis. */
  readonly openWindows: number
  readonly closedSessions: number
  /** Values that were told again after their window or session was final. */
  readonly revisedFinals: number
  readonly cappedWindows: number
}

/** Five standard errors (0.81 %) of a HyperLogLog; of few members some share a place now and then. */
const uniqueError = 0.0405
const fewShared = 4

/** Judges one project. */
export function compareStream(evidence: StreamEvidence): Compared {
  const problems = new Map<string, string[]>()
  const report = (problem: string, example: string): void => {
    const held = problems.get(problem) ?? []
    problems.set(problem, held)
    held.push(`${evidence.projectId} ${example}`)
  }
  const values = highest(evidence.metrics, keyOfMetric, report)
  const sessions = highest(evidence.sessions, ({ sessionId, startedAt }) => `${sessionId} of ${startedAt}`, report)
  const windows = compareWindows(evidence, values, report)
  const closedSessions = compareSessions(evidence, sessions, report)
  compareSessionMetrics(evidence, values, report)
  return {
    violations: [...problems].map(([problem, found]) => ({
      invariant: 'INV-4' as const,
      problem,
      count: found.length,
      examples: found.slice(0, 10)
    })),
    ...windows,
    closedSessions,
    revisedFinals: countRevised(evidence)
  }
}

type Report = (problem: string, example: string) => void

function keyOfMetric({ metric, granularity, timestamp, dimension = '' }: MetricMessage): string {
  return `${metric}:${granularity}:${timestamp} ${dimension}`
}

/**
 * The newest message of each thing. Two final ones of one revision must be the same, or readers disagree; provisional
 * ones may differ after a rollback, since other events may have been counted before it.
 */
function highest<M extends MetricMessage | SessionMessage>(
  messages: readonly M[],
  keyOf: (message: M) => string,
  report: Report
): ReadonlyMap<string, M> {
  const newest = new Map<string, M>()
  for (const message of messages) {
    const key = keyOf(message)
    const held = newest.get(key)
    const order = held === undefined ? 1 : compareRevisions(message.revision, held.revision)
    if (order > 0) newest.set(key, message)
    else if (order === 0 && message.final && !sameValue(message, held)) {
      report('two different values of one highest revision', `${key} at ${message.revision.join('.')}`)
    }
  }
  return newest
}

/** `isNew` is a hint that depends on order. */
function sameValue(a: unknown, b: unknown): boolean {
  const plain = (value: unknown): string =>
    JSON.stringify(value, (key, member: unknown) => (key === 'isNew' ? undefined : member))
  return plain(a) === plain(b)
}

function compareWindows(evidence: StreamEvidence, values: ReadonlyMap<string, MetricMessage>, report: Report) {
  const { recount, live, clockMs, settleMs, completeFromMs } = evidence
  let closedWindows = 0
  let openWindows = 0
  let cappedWindows = 0
  for (const [name, window] of recount.windows) {
    if (window.startMs < completeFromMs) continue
    const held = live.get(name)
    if (held !== undefined) compareLive(name, window, held, report)
    const total = values.get(`${name} `)
    if (window.endMs + settleMs > clockMs) {
      openWindows++
      if (held === undefined) report('an open window is not held', name)
      continue
    }
    closedWindows++
    if (total === undefined) report('a closed window was never told', name)
    else if (!total.final) report('a window that is due is not final', name)
    else {
      if (total.capped) cappedWindows++
      compareTold(name, window, values, report)
    }
  }
  for (const [key, message] of values) {
    const name = key.slice(0, key.indexOf(' '))
    if (isOfSessions(message.metric) || message.timestamp < completeFromMs) continue
    const window = recount.windows.get(name)
    if (window === undefined) report('told, but no on-time event of the log is in it', key)
    else if (!message.capped && !window.values.has(message.dimension ?? ''))
      report('a dimension that no event has', key)
  }
  return { closedWindows, openWindows, cappedWindows }
}

function compareLive(name: string, window: CountedWindow, held: LiveWindow, report: Report): void {
  if (held.events !== window.events)
    report('a held window counts wrong', `${name}: ${held.events}, not ${window.events}`)
  for (const [dimension, value] of held.capped ? onlyTotal(window) : window.values) {
    const found = held.values.get(dimension)
    const wrong = found === undefined ? 'absent' : differenceOf(value, { ...found, value: found.unique })
    if (wrong !== undefined) report('a held window has a wrong value', `${name} ${dimension}: ${wrong}`)
  }
  const strange = held.capped ? [] : [...held.values.keys()].filter((dimension) => !window.values.has(dimension))
  for (const dimension of strange) report('a held window has a dimension that no event has', `${name} ${dimension}`)
}

function compareTold(
  name: string,
  window: CountedWindow,
  values: ReadonlyMap<string, MetricMessage>,
  report: Report
): void {
  const total = values.get(`${name} `)
  const number = total?.revision[1] ?? 0
  if (number !== 2 * window.events + 1) report('a final revision that is not of its events', `${name}: ${number}`)
  for (const [dimension, value] of total?.capped === true ? onlyTotal(window) : window.values) {
    const message = values.get(`${name} ${dimension}`)
    const wrong = message === undefined ? 'never told' : differenceOf(value, fromMessage(message))
    if (wrong !== undefined) report('a closed window has a wrong value', `${name} ${dimension}: ${wrong}`)
  }
  if (total?.capped !== true) return
  const apart = [...values].filter(([key, { dimension }]) => dimension !== undefined && key.startsWith(`${name} `))
  const sum = apart.reduce((count, [, message]) => count + message.count, 0)
  if (sum !== total.count)
    report('the dimensions of a capped window do not add up', `${name}: ${sum}, not ${total.count}`)
}

function onlyTotal({ values }: CountedWindow): readonly (readonly [string, CountedValue])[] {
  return [...values].filter(([dimension]) => dimension === '')
}

interface Found {
  readonly count: number
  /** In millionths, as Redis holds it. */
  readonly sum: bigint | undefined
  /** The same as a message tells it, which has 53 bits for it. */
  readonly told?: number | undefined
  readonly value: number | undefined
}

function fromMessage({ kind, count, value }: MetricMessage): Found {
  return {
    count,
    sum: undefined,
    told: kind === 'sum' ? value : undefined,
    value: kind === 'unique' ? value : undefined
  }
}

/** How `found` differs from the recount; undefined when it does not. */
function differenceOf(counted: CountedValue, found: Found): string | undefined {
  if (found.count !== counted.count) return `count ${found.count}, not ${counted.count}`
  if (found.sum !== undefined && found.sum !== counted.sum) return `sum ${found.sum}, not ${counted.sum}`
  const exact = Number(`${counted.sum}e-6`)
  if (found.told !== undefined && Math.abs(found.told - exact) > Math.abs(exact) * Number.EPSILON) {
    return `sum ${found.told}, not ${exact}`
  }
  const { size } = counted.members
  if (found.value === undefined) return undefined
  const error = Math.abs(found.value - size)
  return error > Math.max(fewShared, size * uniqueError) ? `${found.value} distinct, not ${size}` : undefined
}

const compared = [
  'firstEventAt',
  'lastEventAt',
  'totalEvents',
  'pageViews',
  'hasConversion',
  'userId',
  'trafficSource',
  'deviceType',
  'country',
  'entryPage',
  'exitPage'
] as const

function compareSessions(
  { recount, clockMs, settleMs, sessionIdleMs, completeFromMs }: StreamEvidence,
  told: ReadonlyMap<string, SessionMessage>,
  report: Report
): number {
  const byId = Map.groupBy(told.values(), ({ sessionId }) => sessionId)
  let closed = 0
  for (const [sessionId, session] of recount.sessions) {
    if (session.firstEventAt < completeFromMs) continue
    const [message, ...others] = byId.get(sessionId) ?? []
    if (others.length > 0) report('a session that is told as several', sessionId)
    if (session.lastEventAt + sessionIdleMs + settleMs > clockMs) continue
    closed++
    if (message === undefined) report('a session that is over was never told', sessionId)
    else if (others.length === 0) compareSession(session, message, report)
  }
  for (const { sessionId, firstEventAt } of told.values()) {
    if (!recount.sessions.has(sessionId) && firstEventAt >= completeFromMs)
      report('a session that no event has', sessionId)
  }
  return closed
}

function compareSession(session: CountedSession, message: SessionMessage, report: Report): void {
  const wrong = compared.filter((field) => message[field] !== session[field])
  for (const field of wrong) {
    report(`a session with a wrong ${field}`, `${session.sessionId}: ${message[field]}, not ${session[field]}`)
  }
  if (message.revision[1] !== 2 * session.totalEvents + 1) {
    report('a final revision that is not of its events', `${session.sessionId}: ${message.revision[1]}`)
  }
}

const hourMs = 3_600_000
const isOfSessions = (metric: string): boolean => metric === 'bounce_rate' || metric === 'session_duration'

/** What closed sessions add up to, by the hour that they began in. */
function compareSessionMetrics(
  evidence: StreamEvidence,
  values: ReadonlyMap<string, MetricMessage>,
  report: Report
): void {
  const { recount, clockMs, settleMs, sessionIdleMs, completeFromMs, live } = evidence
  const over = [...recount.sessions.values()].filter(({ firstEventAt }) => firstEventAt >= completeFromMs)
  if (over.some(({ lastEventAt }) => lastEventAt + sessionIdleMs + settleMs > clockMs)) return
  const started = new Map(evidence.sessions.map(({ sessionId, startedAt }) => [sessionId, startedAt]))
  const hours = Map.groupBy(over, ({ sessionId, firstEventAt }) => {
    const startedAt = started.get(sessionId) ?? firstEventAt
    return startedAt - (startedAt % hourMs)
  })
  for (const [hour, sessions] of hours) {
    const bounces = sessions.filter(({ pageViews, hasConversion }) => pageViews <= 1 && !hasConversion).length
    const lengths = sessions.reduce((sum, { firstEventAt, lastEventAt }) => sum + lastEventAt - firstEventAt, 0)
    for (const [metric, sum] of [
      ['bounce_rate', bounces],
      ['session_duration', lengths]
    ] as const) {
      const name = `${metric}:1h:${hour}`
      const message = values.get(`${name} `)
      const held = live.get(name)?.values.get('')
      if (message === undefined) report('a metric of sessions was never told', name)
      else if (message.denominator !== sessions.length || message.numerator !== sum) {
        report(
          'a wrong metric of sessions',
          `${name}: ${message.numerator}/${message.denominator}, not ${sum}/${sessions.length}`
        )
      }
      if (held !== undefined && (held.count !== sessions.length || held.sum !== BigInt(sum))) {
        report('a wrong held metric of sessions', `${name}: ${held.sum}/${held.count}, not ${sum}/${sessions.length}`)
      }
    }
  }
}

/** Values that were final and told again with more events. */
function countRevised({ metrics, sessions }: StreamEvidence): number {
  const finals = new Map<string, Set<string>>()
  for (const message of [...metrics.filter(({ final }) => final), ...sessions]) {
    const key = 'sessionId' in message ? message.sessionId : keyOfMetric(message)
    const held = finals.get(key) ?? new Set()
    finals.set(key, held.add(message.revision.join('.')))
  }
  return [...finals.values()].filter(({ size }) => size > 1).length
}
