// A closed session as the message that tells of it.
import type { SessionValue } from '@millrace/aggregation/redis-emit'
import { claimedValues } from '@millrace/aggregation/sessions'
import type { SessionMessage } from '@millrace/contracts'

/** The message of `session`; texts that no event said are empty. */
export function toSessionMessage(project: string, epoch: number, session: SessionValue): SessionMessage {
  const [trafficSource = '', deviceType = '', country = ''] = claimedValues(session.first)
  const [entryPage = ''] = claimedValues(session.entry)
  const [exitPage = ''] = claimedValues(session.exit)
  const [userId = ''] = claimedValues(session.user)
  return {
    project,
    sessionId: session.sessionId,
    startedAt: session.contributed?.startMs ?? session.firstMs,
    firstEventAt: session.firstMs,
    lastEventAt: session.lastMs,
    totalEvents: session.events,
    pageViews: session.pageViews,
    hasConversion: session.converted,
    isNew: session.isNew ?? null,
    userId,
    trafficSource,
    deviceType,
    country,
    entryPage,
    exitPage,
    revision: [epoch, session.revision],
    final: true
  }
}
