// A session as Redis keeps it: twelve members in MessagePack (keys.ts), which the scripts unpack several times as fast
// as text. Scripts that answer sessions unpack them, so Node sees lists of numbers and texts.
import { AppError } from '@millrace/kernel'
import type { Contribution, SessionState } from './sessions.ts'

/** A session with the hint of the filter: undefined when it is not known whether its visitor is new. */
export interface HeldSession extends SessionState {
  readonly isNew: boolean | undefined
}

/** Numbers up to `closed`, texts from there on. */
export type SessionRecord = readonly [
  firstMs: number,
  lastMs: number,
  events: number,
  pageViews: number,
  converted: number,
  closed: number,
  contributed: string,
  first: string,
  entry: string,
  exit: string,
  user: string,
  isNew: string
]

/** Reads what a script answered. Throws PIPE_REDIS_REFUSED for anything else. */
export function toHeldSession(record: unknown): HeldSession {
  if (!isRecord(record)) throw new AppError('PIPE_REDIS_REFUSED', 'a session has another form than ours')
  const [firstMs, lastMs, events, pageViews, converted, closed, contributed, first, entry, exit, user, isNew] = record
  return {
    firstMs,
    lastMs,
    events,
    pageViews,
    converted: converted === 1,
    closed: closed === 1,
    contributed: toContribution(contributed),
    first,
    entry,
    exit,
    user,
    isNew: isNew === '' ? undefined : isNew === '1'
  }
}

function isRecord(record: unknown): record is SessionRecord {
  if (!Array.isArray(record) || record.length !== 12) return false
  return record.every((member, index) => typeof member === (index < 6 ? 'number' : 'string'))
}

/** Start, events, length and bounced in one text; empty before the first close. */
function toContribution(text: string): Contribution | undefined {
  if (text === '') return undefined
  const [startMs, events, lengthMs, bounced] = text.split(' ').map(Number) as [number, number, number, number]
  return { startMs, events, lengthMs, bounced: bounced === 1 }
}
