// The windows of one metric: a snapshot from the live state, the values of the topic on top, and the snapshot again from
// time to time, so that nothing that was missed stays missed.
import { backoffMs, isTransient } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { MetricMessage, MetricSubscription } from '@millrace/contracts'
import { metricsTopic } from '@millrace/contracts'
import type { Logger } from '@millrace/observability'
import type { Feed, FeedEvents } from '../feed.ts'
import type { TopicWatch } from '../topic-watch.ts'
import { createMetricCells } from './metric-cells.ts'

/** Live windows of one metric as of one moment, as the topic would tell them. */
export interface WindowSnapshot {
  /** 0: the project has no live state. */
  readonly epoch: number
  readonly messages: readonly MetricMessage[]
}

/** Which windows a snapshot is of. */
export interface WindowQuestion {
  readonly project: string
  readonly metric: string
  readonly granularity: '1m' | '1h'
  /** Start of the oldest window, and the time after the newest one. */
  readonly fromMs: number
  readonly toMs: number
  /** '': the whole window; `*`: every dimension. */
  readonly dimension: string
}

/** Reads windows from the live state. Throws PIPE_REDIS_UNAVAILABLE. */
export type ReadWindows = (question: WindowQuestion) => Promise<WindowSnapshot>

export interface MetricFeedDeps {
  readonly topics: TopicWatch<MetricMessage>
  readonly readWindows: ReadWindows
  readonly clock: Clock
  readonly log: Logger
  /** The snapshot is read again after this time. */
  readonly refreshMs: number
  readonly maxCells: number
}

const retryPolicy = { baseMs: 250, capMs: 5_000, jitter: 0.2 }
const lengths = { '1m': 60_000, '1h': 3_600_000 } as const

/** Opens the feed of `subscription` in `project`. */
export function openMetricFeed(
  project: string,
  subscription: MetricSubscription,
  deps: MetricFeedDeps,
  events: FeedEvents
): Feed {
  const { topics, readWindows, clock, log, refreshMs, maxCells } = deps
  const { metric, granularity, windows } = subscription
  const dimension = toDimension(subscription)
  const cells = createMetricCells({ lengthMs: lengths[granularity], windows, dimension, maxCells })
  let loaded = false
  let closed = false
  let failures = 0
  let loading = false
  let again = false
  let timer: Disposable | undefined

  const load = async (): Promise<void> => {
    if (loading) {
      again = true
      return
    }
    loading = true
    timer?.[Symbol.dispose]()
    try {
      const nowMs = clock.now()
      const question = { project, metric, granularity, dimension, fromMs: cells.oldestMs(nowMs), toMs: nowMs + 1 }
      const { epoch, messages } = await readWindows(question)
      if (closed) return
      const replaced = cells.load(epoch, messages, clock.now()) || !loaded
      loaded = true
      if (failures > 0) events.stale(false)
      failures = 0
      if (replaced) events.replaced()
      else events.changed()
    } catch (error) {
      if (!isTransient(error)) throw error
      if (failures === 0) log.warn({ err: error, project, metric }, 'windows could not be read')
      failures++
      if (!closed) events.stale(true)
    } finally {
      loading = false
      if (!closed) next()
    }
  }
  const next = (): void => {
    const waitMs = again ? 0 : failures > 0 ? backoffMs(retryPolicy, failures) : refreshMs
    again = false
    timer = clock.timer(waitMs, start)
  }
  const start = (): void => {
    load().catch((error: unknown) => log.error({ err: error, project, metric }, 'a feed of a metric failed'))
  }
  const watched = topics.watch(metricsTopic(metric), project, {
    onLive: start,
    onValues(messages) {
      const nowMs = clock.now()
      let changed = false
      for (const message of messages) {
        if (message.granularity !== granularity) continue
        const outcome = cells.apply(message, nowMs)
        if (outcome === 'newer') start()
        changed ||= outcome === 'changed'
      }
      if (changed) events.changed()
    }
  })
  // What the live state has can be shown before the topic is read; `onLive` reads it then once more.
  if (!loading) start()

  return {
    snapshot: () => (loaded ? cells.all(clock.now()) : undefined),
    takeChanges() {
      const data = cells.takeChanges()
      return data === undefined ? undefined : `"data":${data}`
    },
    [Symbol.dispose]() {
      closed = true
      timer?.[Symbol.dispose]()
      watched[Symbol.dispose]()
    }
  }
}

/** The dimension as messages name it. */
function toDimension({ dimension }: MetricSubscription): string {
  if (dimension === undefined) return ''
  return dimension === '*' ? '*' : JSON.stringify(dimension)
}
