// What feeds read from: one watch for each kind of topic, and the live state.
import { createHmac, randomUUID } from 'node:crypto'
import type { ConfigOf } from '@millrace/config'
import type { Admin, ConsumerClient } from '@millrace/kafka'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import type { realtimeSpec } from './config.ts'
import { topicSettings } from './config.ts'
import { createDecoders } from './decode-records.ts'
import type { ReadWindows } from './feeds/metric-feed.ts'
import type { realtimeMetrics } from './metrics.ts'
import type { FeedSources } from './open-feed.ts'
import { createTopicWatch } from './topic-watch.ts'
import type { TopicWatch, TopicWatchOptions } from './topic-watch.ts'

export interface SourcesDeps {
  readonly config: ConfigOf<typeof realtimeSpec>
  readonly consumers: ConsumerClient
  readonly admin: Pick<Admin, 'ranges' | 'listTopics'>
  readonly readWindows: ReadWindows
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: BoundMetrics<typeof realtimeMetrics>
  readonly signal: AbortSignal
  readonly onFatal: (error: Error) => void
}

/** Opens the sources; nothing is read before somebody watches. */
export function openSources(deps: SourcesDeps): FeedSources & AsyncDisposable {
  const { config, consumers, admin, clock, log, metrics, signal, onFatal } = deps
  const stack = new AsyncDisposableStack()
  const instance = `realtime-${randomUUID()}`
  const common = { consumers, admin, clock, log, signal, onFatal, instance, settings: topicSettings(config) }
  const watch = <T>(decode: TopicWatchOptions<T>['decode']): TopicWatch<T> =>
    stack.use(createTopicWatch({ ...common, decode }))
  const decoders = createDecoders(() => metrics.skipped.add(1, { reason: 'broken' }))
  const onSkipped = (count: number): void => metrics.skipped.add(count, { reason: 'too_many' })
  const recent = (keep: number) => ({ keep, maxPending: config.EVENTS_PER_TICK, onSkipped })
  return {
    metrics: {
      topics: watch(decoders.metrics),
      readWindows: deps.readWindows,
      clock,
      log,
      refreshMs: config.SNAPSHOT_REFRESH_MS,
      maxCells: config.MAX_CELLS
    },
    sessions: {
      topics: watch(decoders.sessions),
      recent: recent(100),
      alias: (project, id) =>
        createHmac('sha256', config.API_KEY_PEPPER).update(`session:${project}:${id}`).digest('base64url').slice(0, 16)
    },
    events: { topics: watch(decoders.events), recent: recent(50) },
    [Symbol.asyncDispose]: () => stack.disposeAsync()
  }
}
