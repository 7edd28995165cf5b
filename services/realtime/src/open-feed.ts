// Which feed answers a subscription. Two subscriptions that ask for the same share one.
import type { LiveGrant, LiveSubscription, MetricSubscription } from '@millrace/contracts'
import type { FeedEvents, FeedRequest } from './feed.ts'
import { openEventFeed } from './feeds/event-feed.ts'
import type { EventFeedDeps } from './feeds/event-feed.ts'
import { openMetricFeed } from './feeds/metric-feed.ts'
import type { MetricFeedDeps } from './feeds/metric-feed.ts'
import { openSessionFeed } from './feeds/session-feed.ts'
import type { SessionFeedDeps } from './feeds/session-feed.ts'

export interface FeedSources {
  readonly metrics: MetricFeedDeps
  readonly sessions: SessionFeedDeps
  readonly events: EventFeedDeps
}

/** The feed of `subscription` for the holder of `grant`. Keys begin with the project and a slash. */
export function toFeedRequest(
  { projectId, personal }: LiveGrant,
  subscription: LiveSubscription,
  sources: FeedSources
): FeedRequest {
  const audience = { project: projectId, personal }
  const reader = personal ? 'person' : 'public'
  switch (subscription.to) {
    case 'metrics':
      return {
        key: `${projectId}/metrics/${metricKey(subscription)}`,
        open: (events: FeedEvents) => openMetricFeed(projectId, subscription, sources.metrics, events)
      }
    case 'sessions':
      return {
        key: `${projectId}/sessions/${reader}`,
        open: (events) => openSessionFeed(audience, sources.sessions, events)
      }
    case 'events': {
      const { sample, eventTypes } = subscription
      return {
        key: `${projectId}/events/${reader}/${sample}/${JSON.stringify(eventTypes)}`,
        open: (events) => openEventFeed(audience, subscription, sources.events, events)
      }
    }
  }
}

function metricKey({ metric, granularity, windows, dimension = [] }: MetricSubscription): string {
  return `${metric}/${granularity}/${windows}/${JSON.stringify(dimension)}`
}
