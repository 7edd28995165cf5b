// Events as the processor writes them: a sample by the hash of the id, so that every instance and every client of one
// share shows the same events, and a filter on the type.
import { processedTopic } from '@millrace/contracts'
import type { EventSubscription, ProcessedEvent } from '@millrace/contracts'
import type { Feed, FeedEvents } from '../feed.ts'
import type { TopicWatch } from '../topic-watch.ts'
import { createRecentFeed } from './recent-feed.ts'
import type { RecentOptions } from './recent-feed.ts'
import type { Audience } from './session-feed.ts'

export interface EventFeedDeps {
  readonly topics: TopicWatch<ProcessedEvent>
  readonly recent: RecentOptions
}

/** Opens the feed of events. */
export function openEventFeed(
  { project, personal }: Audience,
  { sample, eventTypes }: EventSubscription,
  deps: EventFeedDeps,
  events: FeedEvents
): Feed {
  const wanted = eventTypes.length === 0 ? undefined : new Set(eventTypes)
  const below = sample * 2 ** 32
  const watched = deps.topics.watch(processedTopic(project), project, {
    onLive: () => undefined,
    onValues(found) {
      for (const event of found) {
        if (wanted !== undefined && !wanted.has(event.eventType)) continue
        if (sample < 1 && hashOf(event.eventId) >= below) continue
        feed.add(() => JSON.stringify(personal ? event : withoutPerson(event)))
      }
    }
  })
  const feed = createRecentFeed(deps.recent, events, () => watched[Symbol.dispose]())
  return feed
}

/** FNV-1a of 32 bits over the UTF-16 code units, mixed once more so that ids that count up spread (murmur3 finaliser). */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** What is shown when the project does not say that more may be. An event id may be anything, but names the event. */
function withoutPerson(event: ProcessedEvent): object {
  const { eventId, eventType, timestamp, receivedAt, path, trafficSource, deviceType, os, browser, isBot, country } =
    event
  return { eventId, eventType, timestamp, receivedAt, path, trafficSource, deviceType, os, browser, isBot, country }
}
