// A group member for tests that writes down, in order, all that its handlers are told.
import type {
  ConsumerClient,
  GroupMember,
  GroupOptions,
  KafkaRecord,
  RecordBatch,
  TopicPartition
} from '../src/port.ts'
import { partitionKey } from '../src/port.ts'

export interface ReaderOptions {
  readonly groupId: string
  /** Read at every refresh; a test may change it. */
  readonly topics: string[]
  readonly fallback?: GroupOptions['fallback']
  readonly topicRefreshMs: number
  readonly sessionTimeoutMs?: number
  readonly maxBytesPerPartition?: number
  /** Start positions by partition key that replace the committed offsets. */
  readonly positions?: ReadonlyMap<string, bigint>
  readonly onRevoking?: (reader: Reader) => Promise<void>
  readonly onBatch?: (reader: Reader, batch: RecordBatch) => Promise<void>
}

export interface Reader extends AsyncDisposable {
  readonly member: GroupMember
  /** Partition keys held now, sorted; undefined before the first assignment. */
  readonly held: () => readonly string[] | undefined
  /** Records in the order they came, over all assignments. */
  readonly records: KafkaRecord[]
  /** `assigned`, `revoking`, `batch <key> <offset>`, `out-of-range <key> <requested> <start>`, `fatal`. */
  readonly log: string[]
  readonly errors: Error[]
  readonly batches: RecordBatch[]
}

/** Joins a group. */
export async function openReader(client: ConsumerClient, options: ReaderOptions): Promise<Reader> {
  let held: readonly string[] | undefined
  const log: string[] = []
  const records: KafkaRecord[] = []
  const batches: RecordBatch[] = []
  const errors: Error[] = []
  const settings: GroupOptions = {
    groupId: options.groupId,
    topics: async () => [...options.topics],
    fallback: options.fallback ?? 'earliest',
    sessionTimeoutMs: options.sessionTimeoutMs ?? 10_000,
    heartbeatIntervalMs: 300,
    rebalanceTimeoutMs: 15_000,
    topicRefreshMs: options.topicRefreshMs,
    maxBytesPerPartition: options.maxBytesPerPartition ?? 512 * 1024,
    maxWaitMs: 100
  }
  const member = await client.join(settings, {
    onAssigned: async (assignment: readonly TopicPartition[]) => {
      held = assignment.map(partitionKey).sort()
      log.push('assigned')
      return options.positions ?? new Map()
    },
    onRevoking: async () => {
      log.push('revoking')
      await options.onRevoking?.(reader)
    },
    onBatch: async (batch) => {
      log.push(`batch ${partitionKey(batch)} ${batch.records[0]?.offset}`)
      batches.push(batch)
      records.push(...batch.records)
      await options.onBatch?.(reader, batch)
    },
    onOutOfRange: (partition, requested, logStart) => {
      log.push(`out-of-range ${partitionKey(partition)} ${requested} ${logStart}`)
    },
    onFatal: (error) => {
      log.push('fatal')
      errors.push(error)
    }
  })
  const reader: Reader = {
    member,
    held: () => held,
    records,
    batches,
    log,
    errors,
    [Symbol.asyncDispose]: () => member.stop()
  }
  return reader
}

/** Values of the records as text, sorted. */
export function values(records: readonly KafkaRecord[]): readonly string[] {
  return records.map(({ value }) => value?.toString() ?? 'null').sort()
}
