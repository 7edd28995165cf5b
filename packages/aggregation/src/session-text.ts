// A session as Redis keeps it: one text of twelve lines (keys.ts). The scripts read and write the same lines.
import { AppError } from '@millrace/kernel'
import type { Contribution, SessionState } from './sessions.ts'

/** A session with the hint of the filter: undefined when it is not known whether its visitor is new. */
export interface HeldSession extends SessionState {
  readonly isNew: boolean | undefined
}

/** The text of a session. */
export function toSessionText(session: HeldSession): string {
  const { firstMs, lastMs, events, pageViews, converted, closed, contributed, first, entry, exit, user, isNew } =
    session
  const facts = [firstMs, lastMs, events, pageViews, Number(converted), Number(closed)]
  const hint = isNew === undefined ? '' : Number(isNew)
  return [...facts, toContributionText(contributed), first, entry, exit, user, hint].join('\n')
}

/** Reads what `toSessionText` or a script wrote. Throws PIPE_REDIS_REFUSED for anything else. */
export function parseSessionText(text: string): HeldSession {
  const lines = text.split('\n')
  if (lines.length !== sessionLines) throw new AppError('PIPE_REDIS_REFUSED', 'a session has another form than ours')
  const [firstMs, lastMs, events, pageViews] = lines.slice(0, 4).map(Number) as [number, number, number, number]
  const [converted, closed, given, first, entry, exit, user, isNew] = lines.slice(4) as [
    ...[string, string, string, string],
    ...[string, string, string, string]
  ]
  return {
    firstMs,
    lastMs,
    events,
    pageViews,
    converted: converted === '1',
    closed: closed === '1',
    contributed: parseContribution(given),
    first,
    entry,
    exit,
    user,
    isNew: isNew === '' ? undefined : isNew === '1'
  }
}

const sessionLines = 12

function toContributionText(contributed: Contribution | undefined): string {
  if (contributed === undefined) return ''
  const { startMs, events, lengthMs, bounced } = contributed
  return `${startMs} ${events} ${lengthMs} ${Number(bounced)}`
}

function parseContribution(text: string): Contribution | undefined {
  if (text === '') return undefined
  const [startMs, events, lengthMs, bounced] = text.split(' ').map(Number) as [number, number, number, number]
  return { startMs, events, lengthMs, bounced: bounced === 1 }
}
