// The events of a batch by session. Claims are made at the end, for the few events that won.
import { compareIds, quoteJson } from '@millrace/contracts'
import type { EventRow } from '@millrace/contracts'
import { pageView } from './metrics.ts'
import { claim } from './sessions.ts'
import type { Claim, SessionMerge } from './sessions.ts'
import { visitorsOf } from './visitors.ts'

/** Takes rows one by one; events without a session are passed over. */
export interface SessionFold {
  add(row: EventRow): void
  merges(): readonly SessionMerge[]
}

interface Draft {
  events: number
  pageViews: number
  converted: boolean
  first: EventRow
  last: EventRow
  entry: EventRow | undefined
  exit: EventRow | undefined
  user: EventRow | undefined
  anonymousId: string
}

const claimFirst = (row: EventRow): Claim =>
  claim(row.timestamp, row.eventId, row.trafficSource, row.deviceType, row.country)
const claimPath = (row: EventRow): Claim => claim(row.timestamp, row.eventId, row.path)
const claimUser = (row: EventRow): Claim => claim(row.timestamp, row.eventId, row.userId)

/** A fold that begins empty. */
export function createSessionFold(conversionTypes: ReadonlySet<string>): SessionFold {
  const drafts = new Map<string, Draft>()
  return {
    add(row) {
      if (row.sessionId === '') return
      const held = drafts.get(row.sessionId)
      const draft = held ?? {
        events: 0,
        pageViews: 0,
        converted: false,
        first: row,
        last: row,
        entry: undefined,
        exit: undefined,
        user: undefined,
        anonymousId: ''
      }
      if (held === undefined) drafts.set(row.sessionId, draft)
      draft.events++
      if (draft.anonymousId === '') draft.anonymousId = row.anonymousId
      if (row.eventType === pageView) draft.pageViews++
      if (conversionTypes.has(row.eventType)) draft.converted = true
      if (isBefore(row, draft.first)) draft.first = row
      if (row.timestamp > draft.last.timestamp) draft.last = row
      if (row.path !== '') {
        if (draft.entry === undefined || isBefore(row, draft.entry)) draft.entry = row
        if (draft.exit === undefined || isBefore(draft.exit, row)) draft.exit = row
      }
      if (row.userId !== '' && (draft.user === undefined || isBefore(draft.user, row))) draft.user = row
    },
    merges() {
      const merges: SessionMerge[] = []
      for (const [sessionId, draft] of drafts) merges.push(toMerge(sessionId, draft))
      return merges
    }
  }
}

function toMerge(sessionId: string, draft: Draft): SessionMerge {
  const { events, pageViews, converted, first, last, entry, exit, user, anonymousId } = draft
  const entryClaim = entry === undefined ? '' : claimPath(entry)
  return {
    sessionId,
    firstMs: first.timestamp,
    lastMs: last.timestamp,
    events,
    pageViews,
    converted,
    first: claimFirst(first),
    entry: entryClaim,
    exit: exit === undefined || exit === entry ? entryClaim : claimPath(exit),
    user: user === undefined ? '' : claimUser(user),
    visitors: visitorsOf({ userId: user?.userId ?? '', anonymousId })
  }
}

/** In the order of their claims. No two events of a batch have one id, so what else is claimed decides nothing. */
function isBefore(a: EventRow, b: EventRow): boolean {
  if (a.timestamp !== b.timestamp) return a.timestamp < b.timestamp
  return a !== b && compareIds(quoteJson(a.eventId), quoteJson(b.eventId)) < 0
}
