// Series of the gateway. Children of fixed labels are looked up once; event types are bounded, since a client makes them.
import { counter, gauge, histogram } from '@millrace/observability'
import type { BoundMetrics } from '@millrace/observability'
import type { Acceptance } from './acceptance.ts'

export const gatewayMetrics = {
  received: counter({
    name: 'analytics_events_received_total',
    help: 'Events that passed the checks of the edge, duplicates included; types beyond the first hundred are `other`.',
    labels: ['type']
  }),
  queued: counter({ name: 'analytics_events_queued_total', help: 'Events acknowledged by the log and answered 202.' }),
  rejected: counter({
    name: 'analytics_events_rejected_total',
    help: 'Events and requests refused for what the client sent, by problem code.',
    labels: ['code']
  }),
  unavailable: counter({
    name: 'analytics_events_unavailable_total',
    help: 'Events, requests and connections turned away for now, by reason; the client repeats them.',
    labels: ['reason']
  }),
  duplicates: counter({ name: 'analytics_events_duplicate_total', help: 'Events answered 409: stored already.' }),
  unchecked: counter({
    name: 'analytics_dedup_unchecked_total',
    help: 'Events published without a deduplication check, because Redis did not answer.'
  }),
  dedupFailures: counter({
    name: 'analytics_dedup_failures_total',
    help: 'Failed deduplication calls; `lost` is a mark that was given up, so a repeat may be stored twice.',
    labels: ['operation']
  }),
  batchSize: histogram({
    name: 'analytics_batch_size',
    help: 'Events per produce request.',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000]
  }),
  schemaMismatches: counter({
    name: 'analytics_schema_mismatches_total',
    help: 'Events that broke their schema: refused (`enforce`), let pass (`warn`), or unchecked: it is `unusable`.',
    labels: ['mode']
  }),
  limited: counter({
    name: 'analytics_events_limited_total',
    help: 'Events answered 429 or `rate_limited`, by the limit that turned them away.',
    labels: ['scope']
  }),
  badSettings: counter({
    name: 'analytics_project_settings_ignored_total',
    help: 'Stored settings of projects that are wrong and replaced by their defaults, each time they are read.'
  }),
  dropped: counter({
    name: 'analytics_events_dropped_total',
    help: 'Records without effect, by reason; intentional is false when data was lost.',
    labels: ['reason', 'intentional']
  }),
  shareFailures: counter({
    name: 'analytics_rate_share_failures_total',
    help: 'Times that processes could not share their rates through Redis; each then limits by itself.'
  }),
  intakeBytes: gauge({ name: 'analytics_intake_bytes', help: 'Bytes of request bodies that are under way.' }),
  loopLag: gauge({
    name: 'analytics_event_loop_lag_seconds',
    help: 'Lag of the event loop in the last half second.',
    across: 'max'
  }),
  queuedBytes: gauge({
    name: 'analytics_publish_queue_bytes',
    help: 'Bytes of events that wait for Kafka or are under way.'
  }),
  requests: counter({
    name: 'analytics_api_requests_total',
    help: 'Requests by endpoint and status; 499 is a client that left before the end of its body.',
    labels: ['endpoint', 'status']
  }),
  latency: histogram({
    name: 'analytics_api_latency_seconds',
    help: 'Time from the head of the request to the reply.',
    labels: ['endpoint'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
  })
}

/** A counter per label value that grows to `limit` values; what comes later shares `other`. */
export function createBoundedChildren(
  limit: number,
  child: (value: string) => (count: number) => void
): (value: string) => void {
  const children = new Map<string, (count: number) => void>()
  const other = child('other')
  return (value) => {
    const known = children.get(value)
    if (known !== undefined) return known(1)
    if (children.size >= limit) return other(1)
    const added = child(value)
    children.set(value, added)
    added(1)
  }
}

/** The child of each label value, made at its first use; for values of a closed set. */
export function createChildren<K>(child: (value: K) => (count: number) => void): (value: K, count?: number) => void {
  const children = new Map<K, (count: number) => void>()
  return (value, count = 1) => {
    let known = children.get(value)
    if (known === undefined) {
      known = child(value)
      children.set(value, known)
    }
    known(count)
  }
}

/** Counts what became of each event. */
export function createAcceptanceCounter(
  metrics: BoundMetrics<typeof gatewayMetrics>
): (acceptance: Acceptance) => void {
  const reject = createChildren((code: string) => metrics.rejected.child({ code }))
  const retry = createChildren((reason: string) => metrics.unavailable.child({ reason }))
  return (acceptance) => {
    switch (acceptance.kind) {
      case 'accepted':
        return metrics.queued.add(1)
      case 'duplicate':
        return metrics.duplicates.add(1)
      case 'rejected':
        return reject(acceptance.refusal.code)
      case 'retry':
        return retry(acceptance.reason)
    }
  }
}
