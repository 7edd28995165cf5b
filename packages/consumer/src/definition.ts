// What a worker hands to the runtime and what it gets back. A worker decides values; the runtime orders effects and
// time: batching, retries, dead letters, commits, rebalances and the stop.
import type { BackoffPolicy, Clock, DeadReason, Outcome, SkipReason } from '@millrace/kernel'
import type { Commit, ConsumerClient, KafkaRecord, Producer, TopicPartition } from '@millrace/kafka'
import type { HealthCheck, Logger, Registry } from '@millrace/observability'
import type { Storm, StormLimits } from './storm-guard.ts'

/** The topics of a consumer: a family that is asked again while it runs, and the topic of its redriven letters. */
export interface TopicSet {
  /** The topics to read now, the redrive topic included when it exists. */
  readonly list: () => Promise<readonly string[]>
  /** Records of this topic are letters: they are handled under the coordinates of the record that failed. */
  readonly redrive?: string
}

/** When the buffer becomes a batch: at the first limit that is reached. */
export interface FlushPolicy {
  readonly maxRows: number
  readonly maxBytes: number
  /** Age of the oldest buffered record. */
  readonly maxAgeMs: number
  /** Age limit of a partition that the log has more for; default `maxAgeMs`. Longer makes fewer and larger batches. */
  readonly behindAgeMs?: number
  /** `lane`: one batch per partition. `process`: one batch takes the ready ranges of all partitions. */
  readonly scope: 'lane' | 'process'
}

/**
 * A record as `decode` sees it. Topic, partition, offset, append time and headers are those of the record as it was
 * first stored, also when it came through the redrive topic.
 */
export interface ConsumedRecord extends KafkaRecord {
  readonly redriven: boolean
}

/** What `decode` makes of one record: an item for the batch, or the end of its way. */
export type Decoded<Item> =
  | { readonly kind: 'item'; readonly item: Item }
  | { readonly kind: 'skip'; readonly reason: SkipReason }
  | { readonly kind: 'dead'; readonly reason: DeadReason; readonly cause: unknown }

/** The part of a batch that comes from one partition of the log; `items.slice(start, start + count)` are its items. */
export interface BatchRange extends TopicPartition {
  /** Position before the batch: where the previous batch of this partition ended. */
  readonly from: bigint
  /** Position after the batch, holes included. */
  readonly to: bigint
  readonly start: number
  readonly count: number
}

/** Items in log order, range after range. With scope `lane` there is exactly one range. */
export interface Batch<Item> {
  readonly items: readonly Item[]
  readonly ranges: readonly BatchRange[]
}

export interface HandleContext {
  /** Aborts when the batch ran out of time (PIPE_DEADLINE), when its partitions were lost, or when stopping. */
  readonly signal: AbortSignal
  /** Counts from 1; above 1 the same items were tried before and may have had their effect. */
  readonly attempt: number
  /** Starts `maxHandleMs` anew: the handler still moves. */
  progress(): void
}

/** The sink's own positions say otherwise: the named partitions drop their buffers and read on from these offsets. */
export interface Rewind {
  readonly kind: 'rewind'
  readonly to: readonly Commit[]
}

export interface ConsumerDef<Item> {
  readonly name: string
  readonly group: string
  /** Its letters are those of this group; default `group`. A replay reads under a group of its own. */
  readonly lettersOf?: string
  readonly topics: TopicSet
  readonly policy: FlushPolicy
  /** Where a partition without a position starts; default `earliest`. */
  readonly fallback?: 'earliest' | 'latest'
  /**
   * Positions owned by the sink, keyed by `partitionKey`; they replace the committed offsets. With it `handle` is also
   * called for batches without items, so that the sink's position can follow, and `dead` is decided by `decode` alone.
   */
  readonly startAt?: (assigned: readonly TopicPartition[]) => Promise<ReadonlyMap<string, bigint>>
  /** Pure. Bad bytes are a value; a throw is a bug in it and makes the record dead with reason `bug`. */
  readonly decode: (record: ConsumedRecord) => Decoded<Item>
  /**
   * Bytes of memory that an item keeps beside its record. With `decodeOnArrival` they are held for everything that is
   * buffered, and count towards `totalBytes`. Default: none.
   */
  readonly itemBytes?: (item: Item) => number
  /**
   * Has the effect of every item and resolves with one outcome per item, in order. Throws an AppError: transient = the
   * same batch again, poison = some item is refused (the batch is halved until it stands alone). Anything else thrown
   * ends the consumer without a commit. Must bear to see an item again.
   */
  readonly handle: (batch: Batch<Item>, context: HandleContext) => Promise<readonly Outcome[] | Rewind>
  readonly settings?: Partial<ConsumerSettings>
}

/** Limits of one consumer; see `defaultSettings`. */
export interface ConsumerSettings {
  /** A call of `handle` without `progress` may take this long before its signal aborts. */
  readonly maxHandleMs: number
  /** Batches handled at once. */
  readonly concurrency: number
  /** A partition is paused when this much of it is buffered. */
  readonly laneRows: number
  readonly laneBytes: number
  /**
   * Bytes held in all partitions, items that were made on arrival included; above it the largest buffer is flushed first
   * and full partitions pause.
   */
  readonly totalBytes: number
  /** Waits between attempts after a transient error. */
  readonly backoff: BackoffPolicy
  /**
   * Wait before a record that a store refused is tried again, by itself; the second wait is four times as long, the third
   * sixteen times, then it is dead. 0: dead at once. Not for a sink that owns its position. See retry-policy.ts.
   */
  readonly recordRetryMs: number
  /** What may be dead in one minute before the consumer stops; see storm-guard.ts. */
  readonly storm: StormLimits
  /** Ready turns false when one batch has been waiting for a dependency this long. */
  readonly unreadyAfterMs: number
  /**
   * Whether `decode` is called when a record arrives instead of when its batch is cut: while a batch is on its way the
   * next one is made. What `decode` yields is then held for everything that is buffered.
   */
  readonly decodeOnArrival: boolean
  /** Time for batches in hand to finish when a rebalance begins. */
  readonly drainMs: number
  /** Time for buffered records to be flushed when stopping. */
  readonly stopMs: number
  /** Calls of `handle` that one batch may spend on finding refused items; what is decided by then is committed. */
  readonly maxBisectCalls: number
  /**
   * Whether a TypeError, RangeError, ReferenceError or SyntaxError of `handle` is searched for like a refused item and
   * made dead with reason `bug`, provided that another item of the batch succeeds, or that it was alone and failed a
   * second time. Off: such an error is a crash.
   */
  readonly isolateBugs: boolean
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  readonly rebalanceTimeoutMs: number
  readonly topicRefreshMs: number
  readonly maxBytesPerPartition: number
  readonly maxWaitMs: number
}

/** Where dead letters go. */
export interface LetterTarget {
  readonly producer: Pick<Producer, 'produce' | 'partitionCount'>
  /** The dead-letter topic of an original topic. */
  readonly topicFor: (topic: string) => string
  readonly appVersion: string
}

/** Points at which a test may hurt the process; see the service package. */
export interface FaultPoints {
  at(label: string): void | Promise<void>
}

export interface ConsumerDeps {
  readonly client: ConsumerClient
  readonly letters: LetterTarget
  readonly log: Logger
  readonly registry: Registry
  readonly clock: Clock
  /** Ends the intake when it aborts; disposing the consumer does too. */
  readonly signal?: AbortSignal
  readonly faults?: FaultPoints
  /** Bugs switched on to see a test turn red: `consumer.commit-before-effect`, `-ignore-epoch`, `-commit-past-gap`. */
  readonly planted?: ReadonlySet<string>
  /** For the spread of waits; [0, 1). */
  readonly random?: () => number
}

/** A running consumer. Disposing it stops it: intake ends, the buffer is flushed and committed, the group is left. */
export interface Consumer extends AsyncDisposable {
  /** Joined, neither stopping nor stopped, and no batch has waited too long. Idle is ready. */
  ready(): boolean
  /** The loop turns and no call of `handle` is stuck. */
  live(): boolean
  /**
   * The sink's own positions moved outside of `handle`: partitions with no batch on its way drop their buffers and read
   * on from these offsets. Others, and those that are not assigned, are passed over: their next batch will tell.
   */
  rewind(to: readonly Commit[]): void
  /** Why the consumer stopped: too much of what it read was dead. It holds its partitions, and nothing is lost. */
  stopped(): Storm | undefined
  /** Goes on after a stop: what was held back is dead, and a minute later counting begins anew. */
  resume(): void
  /** `letters` fails while the consumer is stopped. */
  readonly checks: Readonly<Record<'letters', HealthCheck>>
  /** Resolves after a stop; rejects when the consumer failed, and then the process must exit. */
  readonly done: Promise<void>
}

/** An item of the batch. */
export function item<Item>(value: Item): Decoded<Item> {
  return { kind: 'item', item: value }
}

/** Reads on from the sink's own positions. */
export function rewind(to: readonly Commit[]): Rewind {
  return { kind: 'rewind', to }
}
