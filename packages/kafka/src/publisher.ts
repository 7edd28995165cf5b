// What a service knows of publishing events: hand over the events of a request, get one outcome for each. How they share
// produce requests is the queue's business (partition-queue.ts).

/** An event ready for the log; `value` is what will be stored. */
export interface OutgoingEvent {
  readonly project: string
  readonly eventId: string
  readonly value: Buffer
  readonly headers?: Readonly<Record<string, string>>
  /** Partition key; the eventId when absent. */
  readonly key?: string
  /** Called when the log acknowledged the event after it had already been answered `unknown`. */
  readonly onLateAck?: () => void
}

/**
 * Why an event was turned away; it is certainly not stored. Closed: it is a metric label. `queue_full`: a byte bound of
 * the process or the partition. `project_full`: the project holds its share of the process. `stalled`: the partition
 * gets no answer. `kafka_down`: nothing gets one. `not_stored`: tried, in vain.
 */
export type UnavailableReason =
  | 'queue_full'
  | 'project_full'
  | 'stalled'
  | 'kafka_down'
  | 'not_stored'
  | 'no_topic'
  | 'stopping'

/**
 * `acked`: stored on all in-sync replicas. `refused`: never will be. `unavailable`: certainly not stored, but may be
 * later. `unknown`: may or may not be stored.
 */
export type PublishOutcome =
  | { readonly kind: 'acked' }
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'unavailable'; readonly reason: UnavailableReason }
  | { readonly kind: 'unknown' }

/** Appends events to the log. Disposing it drains it. */
export interface Publisher extends AsyncDisposable {
  /** What became of one event; never rejects. */
  publish(event: OutgoingEvent): Promise<PublishOutcome>
  /** One outcome per event, in order, once the last of them is known; never rejects. One promise for all of them. */
  publishAll(events: readonly OutgoingEvent[]): Promise<readonly PublishOutcome[]>
  /** Bytes of events that wait or are under way. */
  queuedBytes(): number
  /** How long what is queued takes at the present speed; the time to the next probe while Kafka is down. */
  retryAfterMs(): number
  /**
   * Turns new events away and waits, up to `drainMs`, until every event has its outcome. What waits by then is answered
   * `unavailable`, what is under way `unknown`.
   */
  drain(): Promise<void>
}

export interface PublishLimits {
  /** Bytes of all events that wait or are under way; above it events are turned away. */
  readonly maxQueuedBytes: number
  /** The same for one partition. */
  readonly maxPartitionBytes: number
  /** Longest wait in a partition's queue, and age of a produce at which its partition takes no more events. */
  readonly maxAgeMs: number
  readonly maxBatchEvents: number
  /** Below the broker's max.message.bytes, since a partition's share of a request is one record batch. */
  readonly maxBatchBytes: number
  /** How long events of free partitions gather while their leader is busy with an earlier request. */
  readonly lingerMs: number
  /** A produce older than this is answered `unknown` while the producer keeps trying. */
  readonly answerAfterMs: number
  /** No answer for this long, with work under way, means that Kafka is down. */
  readonly breakAfterMs: number
  /** While Kafka is down one batch is let through this often. */
  readonly probeEveryMs: number
  /** Longest wait of the drain. */
  readonly drainMs: number
}

export const defaultPublishLimits: PublishLimits = {
  maxQueuedBytes: 64 * 1024 ** 2,
  maxPartitionBytes: 8 * 1024 ** 2,
  maxAgeMs: 2_000,
  maxBatchEvents: 1_000,
  maxBatchBytes: 512 * 1024,
  lingerMs: 2,
  answerAfterMs: 10_000,
  breakAfterMs: 5_000,
  probeEveryMs: 1_000,
  drainMs: 15_000
}
