// Closed sessions as they come. A session that goes on after its end comes again with a higher revision.
import { compareRevisions, sessionsTopic } from '@millrace/contracts'
import type { Revision, SessionMessage } from '@millrace/contracts'
import type { Feed, FeedEvents } from '../feed.ts'
import type { TopicWatch } from '../topic-watch.ts'
import { createRecentFeed } from './recent-feed.ts'
import type { RecentOptions } from './recent-feed.ts'

export interface SessionFeedDeps {
  readonly topics: TopicWatch<SessionMessage>
  readonly recent: RecentOptions
  /** Another name for an id, always the same one. */
  readonly alias: (project: string, id: string) => string
}

/** Whose sessions are shown, and whether with what tells a person. */
export interface Audience {
  readonly project: string
  /** Show ids of users and what they wrote; by the settings of the project. */
  readonly personal: boolean
}

/** Opens the feed of sessions. */
export function openSessionFeed({ project, personal }: Audience, deps: SessionFeedDeps, events: FeedEvents): Feed {
  const newest = new Map<string, Revision>()
  const watched = deps.topics.watch(sessionsTopic(project), project, {
    onLive: () => undefined,
    onValues(sessions) {
      for (const session of sessions) {
        const key = `${session.sessionId} ${session.startedAt}`
        const held = newest.get(key)
        if (held !== undefined && compareRevisions(session.revision, held) <= 0) continue
        newest.delete(key)
        newest.set(key, session.revision)
        for (const oldest of newest.keys()) {
          if (newest.size <= maxRemembered) break
          newest.delete(oldest)
        }
        feed.add(() => toJson(session, personal, deps.alias), key)
      }
    }
  })
  const feed = createRecentFeed(deps.recent, events, () => watched[Symbol.dispose]())
  return feed
}

/** Revisions remembered, so that repeats of the log are not shown. */
const maxRemembered = 10_000

function toJson(session: SessionMessage, personal: boolean, alias: SessionFeedDeps['alias']): string {
  const { project, userId, sessionId, ...others } = session
  return JSON.stringify(
    personal ? { sessionId, userId, ...others } : { sessionId: alias(project, sessionId), ...others }
  )
}
