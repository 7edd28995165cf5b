// What the rest of Millrace knows of Kafka. No type of a client library crosses this file, so the client can be
// replaced; a memory driver and a broker driver pass the same contract suite.

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** Header values are bytes; a repeated header keeps its last value. */
export type RecordHeaders = Readonly<Record<string, Buffer>>

/** One record of a log as it was stored. */
export interface KafkaRecord extends TopicPartition {
  readonly offset: bigint
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: RecordHeaders
  /** Broker append time in milliseconds (topics use LogAppendTime). */
  readonly appendedAtMs: number
}

/** Records of one partition in ascending offset order. */
export interface RecordBatch extends TopicPartition {
  readonly records: readonly KafkaRecord[]
  /** Offset after the last record of this partition that the broker reported with this batch. */
  readonly highWatermark: bigint
  /** Offset to go on from: after the last offset this batch covers, control records and holes included. */
  readonly nextOffset: bigint
}

/** One record to append. The caller chooses the partition (see partitioner.ts). */
export interface ProduceRecord {
  readonly partition: number
  readonly key: Buffer | string | null
  readonly value: Buffer | null
  readonly headers?: Readonly<Record<string, Buffer | string>>
  /** Append time to write, for topics with CreateTime: a log of the past. Ours have LogAppendTime and ignore it. */
  readonly timestampMs?: number
}

/**
 * What became of one record. `acked`: stored on all in-sync replicas at `offset`. `refused`: certainly not stored,
 * and never will be as it is (too large, invalid, not authorised). `unknown`: may or may not be stored.
 */
export type ProduceOutcome =
  | { readonly kind: 'acked'; readonly offset: bigint; readonly appendedAtMs: number }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  | {
      readonly kind: 'unknown'
      readonly message: string
      /** Set when the record is certainly not stored, but the same record may be accepted later. */
      readonly notStored?: true
    }

/** Appends with acks=all. One call is one request per leader; every topic-partition of the reply is checked. */
export interface Producer extends AsyncDisposable {
  /**
   * One outcome per record, in the order given; never throws for what the broker answered or failed to answer.
   * A topic-partition missing in the reply is `unknown` for its records.
   */
  produce(
    topic: string,
    records: readonly ProduceRecord[],
    options?: ProduceOptions
  ): Promise<readonly ProduceOutcome[]>
  /** The number of partitions of a topic as last heard, renewed behind; PIPE_TOPIC_MISSING when absent. */
  partitionCount(topic: string): Promise<number>
}

export interface ProduceOptions {
  /**
   * Told at once which records of one partition have their outcome, in `outcomes` under the same indexes, while others
   * may still be tried again. A producer need not call it for records that are settled when `produce` resolves.
   */
  readonly onSettled?: (indexes: readonly number[], outcomes: readonly ProduceOutcome[]) => void
}

/** A producer for callers that put together what one leader takes in one request. */
export interface RoutedProducer extends Producer {
  /**
   * Leader by partition, every partition included, as last heard, renewed behind: a hint, since leaders move. PIPE_TOPIC_MISSING when
   * the topic is absent, PIPE_KAFKA_UNAVAILABLE when nobody can tell.
   */
  leaders(topic: string): Promise<ReadonlyMap<number, number>>
}

/** Called by the driver, in order, one at a time, and never after `stop` resolved. */
export interface GroupHandlers {
  /**
   * The member holds exactly `assignment` from now on (after every join, retained partitions included): fetch
   * positions were reset to the committed offsets, so all earlier buffers are void. Fetching starts after it resolved;
   * the positions it returns replace the committed offsets for their partitions. No partition is paused after a join.
   */
  onAssigned(assignment: readonly TopicPartition[]): Promise<ReadonlyMap<string, bigint>>
  /** A rebalance began or the member left; best effort, and bounded by the rebalance timeout. Commits still work. */
  onRevoking(): Promise<void>
  /** Hands records over. Resolves when they were taken in, not when they were handled; must be fast. */
  onBatch(batch: RecordBatch): Promise<void>
  /** The committed or requested position is out of the log's range: `logStart` is where fetching goes on. */
  onOutOfRange(partition: TopicPartition, requested: bigint, logStart: bigint): void
  /** The member is dead and will not come back. The process must exit. */
  onFatal(error: Error): void
}

export interface GroupOptions {
  readonly groupId: string
  /** The topics to read now; asked again at every refresh. */
  readonly topics: () => Promise<readonly string[]>
  /** Where a partition without a committed offset starts. */
  readonly fallback: 'earliest' | 'latest'
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  readonly rebalanceTimeoutMs: number
  /** Topics are asked again at wall-clock multiples of this time. */
  readonly topicRefreshMs: number
  readonly maxBytesPerPartition: number
  readonly maxWaitMs: number
}

/** A position to commit: the offset after the last finished record. */
export interface Commit extends TopicPartition {
  readonly offset: bigint
}

/** A member of a consumer group. `pause` and friends take partitions of the current assignment, others are ignored. */
export interface GroupMember {
  pause(partitions: readonly TopicPartition[]): void
  resume(partitions: readonly TopicPartition[]): void
  /** Reads on from `offset`. Records fetched before the call are not handed over after it. */
  seek(partition: TopicPartition, offset: bigint): void
  /**
   * Commits for this member's current generation: `committed`, or `fenced` when the group has moved on. Throws
   * PIPE_KAFKA_UNAVAILABLE when the coordinator cannot be reached.
   */
  commit(commits: readonly Commit[]): Promise<'committed' | 'fenced'>
  /** Leaves the group. Commit before it; handlers are not called after it resolved. */
  stop(): Promise<void>
}

/** Joins groups. */
export interface ConsumerClient {
  join(options: GroupOptions, handlers: GroupHandlers): Promise<GroupMember>
}

export interface TopicDescription {
  readonly topic: string
  readonly partitions: number
  readonly replicationFactor: number
  /** Fewest copies of a partition that are in sync; undefined when nobody said. */
  readonly inSync?: number
  /** Non-default settings only. */
  readonly config: Readonly<Record<string, string>>
}

export interface PartitionRange extends TopicPartition {
  /** First offset still in the log. */
  readonly start: bigint
  /** Offset after the last record. */
  readonly end: bigint
}

export interface TopicCreation {
  readonly topic: string
  readonly partitions: number
  readonly replicationFactor: number
  readonly config: Readonly<Record<string, string>>
}

/** Cluster administration. Every call throws PIPE_KAFKA_UNAVAILABLE when the cluster does not answer. */
export interface Admin extends AsyncDisposable {
  listTopics(): Promise<readonly string[]>
  describeTopics(topics: readonly string[]): Promise<readonly TopicDescription[]>
  /** Creates what does not exist; resolves when every partition has a leader. Existing topics are left as they are. */
  createTopics(topics: readonly TopicCreation[]): Promise<void>
  growPartitions(topic: string, count: number): Promise<void>
  alterTopicConfig(topic: string, config: Readonly<Record<string, string>>): Promise<void>
  deleteTopics(topics: readonly string[]): Promise<void>
  ranges(topic: string): Promise<readonly PartitionRange[]>
  /** First offset whose append time is at or after `timeMs`, per partition; the end offset where there is none. */
  offsetsAt(topic: string, timeMs: number): Promise<ReadonlyMap<number, bigint>>
  /** Committed offsets of a group on a topic; a partition without a commit is absent. */
  groupOffsets(groupId: string, topic: string): Promise<ReadonlyMap<number, bigint>>
  setGroupOffsets(groupId: string, topic: string, offsets: ReadonlyMap<number, bigint>): Promise<void>
  brokerCount(): Promise<number>
}

/** A partition as a sample sees it. */
export interface PartitionHead extends PartitionRange {
  /** Node that leads it; -1 while there is none. */
  readonly leader: number
}

/**
 * Looks at many partitions at once, again and again: the number of requests depends on the brokers and groups, not on the
 * topics. Every call throws PIPE_KAFKA_UNAVAILABLE when nobody answers.
 */
export interface LogSampler extends AsyncDisposable {
  /**
   * Ranges of every partition of the topics that `wanted` picks: one request for metadata, one for each broker, and
   * another one a minute for the starts, which may be that old. Partitions whose leader does not answer are left out.
   */
  heads(wanted: (topic: string) => boolean): Promise<readonly PartitionHead[]>
  /** Committed offsets of a group by `partitionKey`, in one request; a partition without a commit is absent. */
  committed(groupId: string, partitions: readonly TopicPartition[]): Promise<ReadonlyMap<string, bigint>>
  /**
   * Append time of the first record at or after `offset`, by `partitionKey`; absent where there is none. One request
   * for each, which may carry a whole batch of records: for a few.
   */
  appendTimes(positions: readonly Commit[]): Promise<ReadonlyMap<string, number>>
  /**
   * Partitions of `topic` that members of each group hold now; groups that read nothing of it are absent. A group that is
   * being assigned is there with none, whatever it reads.
   */
  holders(topic: string): Promise<ReadonlyMap<string, ReadonlySet<number>>>
}

/** Everything of one cluster; disposing it closes what was opened from it. */
export interface Kafka extends AsyncDisposable {
  producer(options?: ProducerOptions): Promise<RoutedProducer>
  readonly consumers: ConsumerClient
  admin(): Promise<Admin>
  sampler(): Promise<LogSampler>
}

export interface ProducerOptions {
  /** Default zstd. */
  readonly compression?: 'none' | 'gzip' | 'zstd'
  /** Time after which `produce` answers, known or not. Default 10,000. */
  readonly ackTimeoutMs?: number
}

/** Key of a partition in maps: `topic:partition`. */
export function partitionKey({ topic, partition }: TopicPartition): string {
  return `${topic}:${partition}`
}
