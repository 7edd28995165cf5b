// Sessions as a commutative merge: whatever order the events of a session come in, over however many partitions and
// batches, the state is the same. That each event is merged once is the work of position and seen sets, not of this file.
import { quoteJson } from '@millrace/contracts'
import { totalDimension } from './windows.ts'
import type { WindowDelta } from './windows.ts'

/**
 * One event's claim to a member of the session: its time in 15 digits and then the JSON text of [eventId, ...values].
 * Claims compare by their bytes, so the earlier time wins and ties are decided by the id, in Node and in Lua alike.
 */
export type Claim = string

/** What is known of a session, or what a batch adds to it. An absent claim is empty. */
export interface SessionFacts {
  readonly firstMs: number
  readonly lastMs: number
  readonly events: number
  readonly pageViews: number
  readonly converted: boolean
  /** [trafficSource, deviceType, country] of the first event. */
  readonly first: Claim
  /** [path] of the first event that has one. */
  readonly entry: Claim
  /** [path] of the last event that has one. */
  readonly exit: Claim
  /** [userId] of the last event that has one. */
  readonly user: Claim
}

export interface SessionState extends SessionFacts {
  readonly closed: boolean
  /** What the windows of the session metrics hold of it: its values at the last close. */
  readonly contributed: Contribution | undefined
}

const hourMs = 3_600_000
/** A window of a session metric closes this long after its start, */
export const sessionMetricDelayMs = 25 * hourMs
/** and is deleted this long after it. */
export const sessionMetricKeepMs = 27 * hourMs

/** What a closed session adds to the session metrics. */
export interface Contribution {
  readonly startMs: number
  readonly events: number
  readonly lengthMs: number
  readonly bounced: boolean
}

export interface SessionMerge extends SessionFacts {
  readonly sessionId: string
  /** Two numbers for each visitor of the session's events (visitors.ts): a hint for `isNew`, in no reducer. */
  readonly visitors?: readonly number[]
}

/** The claim of an event; `timeMs` is from 1970 to 2100. */
export function claim(timeMs: number, eventId: string, ...values: readonly string[]): Claim {
  let text = `${claimTime(timeMs)}[${quoteJson(eventId)}`
  for (const value of values) text += `,${quoteJson(value)}`
  return `${text}]`
}

/** Digits of the time in a claim. */
const claimTimeDigits = 15

/** Times since 2001 have thirteen digits. */
function claimTime(timeMs: number): string {
  return timeMs >= 1e12 ? `00${timeMs}` : String(timeMs).padStart(claimTimeDigits, '0')
}

/** The values of a claim; empty texts for an absent one. */
export function claimedValues(made: Claim): readonly string[] {
  if (made === '') return []
  // oxlint-disable-next-line no-restricted-properties -- written by `claim`, read back from our own store
  const [, ...values] = JSON.parse(made.slice(claimTimeDigits)) as readonly string[]
  return values
}

/** Both together. Commutative and associative; counts add, all else is idempotent. */
export function mergeFacts(a: SessionFacts, b: SessionFacts): SessionFacts {
  return {
    firstMs: Math.min(a.firstMs, b.firstMs),
    lastMs: Math.max(a.lastMs, b.lastMs),
    events: a.events + b.events,
    pageViews: a.pageViews + b.pageViews,
    converted: a.converted || b.converted,
    first: earlier(a.first, b.first),
    entry: earlier(a.entry, b.entry),
    exit: later(a.exit, b.exit),
    user: later(a.user, b.user)
  }
}

/** A session with `merge` added; closed or not, it is open again. */
export function mergeSession(held: SessionState | undefined, merge: SessionFacts): SessionState {
  const facts = held === undefined ? merge : mergeFacts(held, merge)
  const { firstMs, lastMs, events, pageViews, converted, first, entry, exit, user } = facts
  const contributed = held?.contributed
  return { firstMs, lastMs, events, pageViews, converted, first, entry, exit, user, closed: false, contributed }
}

/** What `session` counts for when it closes now. One page view and no conversion is a bounce. */
export function contributionOf(session: SessionState): Contribution {
  return {
    startMs: session.contributed?.startMs ?? session.firstMs,
    events: session.events,
    lengthMs: session.lastMs - session.firstMs,
    bounced: session.pageViews <= 1 && !session.converted
  }
}

/**
 * What the windows of the session metrics lack of `now` after `before` was added: a ratio has its numerator in the sum
 * and its denominator in the count. The windows are hours of the session's start and close a day after they end.
 */
export function contributionDeltas(before: Contribution | undefined, now: Contribution): readonly WindowDelta[] {
  const startMs = now.startMs - (now.startMs % hourMs)
  const of = (metric: string, sum: number): WindowDelta => ({
    name: `${metric}:1h:${startMs}`,
    startMs,
    closeAtMs: startMs + sessionMetricDelayMs,
    deleteAtMs: startMs + sessionMetricKeepMs,
    events: now.events - (before?.events ?? 0),
    cap: 0,
    values: [{ dimension: totalDimension, count: before === undefined ? 1 : 0, sum: BigInt(sum) }]
  })
  return [
    of('bounce_rate', Number(now.bounced) - Number(before?.bounced ?? false)),
    of('session_duration', now.lengthMs - (before?.lengthMs ?? 0))
  ]
}

function earlier(a: Claim, b: Claim): Claim {
  if (a === '') return b
  return b === '' || isBefore(a, b) ? a : b
}

function later(a: Claim, b: Claim): Claim {
  if (a === '') return b
  return b === '' || isBefore(b, a) ? a : b
}

/** By bytes of UTF-8, as the script does it; text order of JavaScript differs from it beyond the basic plane. */
function isBefore(a: Claim, b: Claim): boolean {
  const timeA = a.slice(0, claimTimeDigits)
  const timeB = b.slice(0, claimTimeDigits)
  return timeA === timeB ? Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0 : timeA < timeB
}
