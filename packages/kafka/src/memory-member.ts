// One member of an in-process group. Its handlers are called one at a time, in order, through one chain of tasks; a
// crashed or stopped member's handlers are never called again.
import { AppError } from '@millrace/kernel'
import type { MemoryLog } from './memory-log.ts'
import { partitionKey } from './port.ts'
import type { Commit, GroupHandlers, GroupMember, GroupOptions, TopicPartition } from './port.ts'

/** What a member asks of its coordinator. */
export interface MemberHost {
  readonly log: MemoryLog
  readonly maxRecords: number
  committedOf(partition: TopicPartition): bigint | undefined
  commit(member: MemoryMember, commits: readonly Commit[]): Promise<'committed' | 'fenced'>
  leave(member: MemoryMember): void
}

interface Held {
  readonly partition: TopicPartition
  position: bigint
  paused: boolean
}

export class MemoryMember implements GroupMember {
  readonly memberId: string
  readonly options: GroupOptions
  /** -1 before the first assignment. */
  generation = -1
  /** The topics it said it reads. */
  topics: readonly string[] = []
  readonly #handlers: GroupHandlers
  readonly #host: MemberHost
  #held = new Map<string, Held>()
  #ended = false
  #crashed = false
  #fetching = false
  #chain: Promise<void> = Promise.resolve()

  constructor(memberId: string, options: GroupOptions, handlers: GroupHandlers, host: MemberHost) {
    this.memberId = memberId
    this.options = options
    this.#handlers = handlers
    this.#host = host
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const one of this.#own(partitions)) one.paused = true
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const one of this.#own(partitions)) one.paused = false
    this.poke()
  }

  seek(partition: TopicPartition, offset: bigint): void {
    for (const one of this.#own([partition])) one.position = offset
    this.poke()
  }

  commit(commits: readonly Commit[]): Promise<'committed' | 'fenced'> {
    return this.#crashed ? new Promise(() => {}) : this.#host.commit(this, commits)
  }

  async stop(): Promise<void> {
    if (this.#crashed) return
    const busy = this.#chain
    this.#ended = true
    this.#held.clear()
    this.#host.leave(this)
    await busy
  }

  /** The partitions of its present assignment. */
  holding(): readonly TopicPartition[] {
    return [...this.#held.values()].map(({ partition }) => partition)
  }

  // Called by the coordinator

  assign(partitions: readonly TopicPartition[], generation: number): void {
    this.generation = generation
    this.#held = new Map()
    void this.#run(async () => {
      if (this.generation !== generation) return
      const positions = await this.#handlers.onAssigned(partitions)
      if (this.generation !== generation) return
      for (const partition of partitions) {
        const key = partitionKey(partition)
        this.#held.set(key, { partition, position: positions.get(key) ?? this.#startOf(partition), paused: false })
      }
      this.poke()
    })
  }

  revoke(): Promise<void> {
    return this.#run(() => this.#handlers.onRevoking())
  }

  /** Fetches what is new. */
  poke(): void {
    if (this.#fetching || this.#ended) return
    this.#fetching = true
    void this.#run(() => this.#fetch())
  }

  crash(): void {
    this.#ended = true
    this.#crashed = true
    this.#held.clear()
  }

  fail(error: Error): void {
    if (this.#ended) return
    this.#ended = true
    this.#host.leave(this)
    this.#handlers.onFatal(error)
  }

  #run(task: () => Promise<void>): Promise<void> {
    const guarded = async (): Promise<void> => {
      if (!this.#ended) await task()
    }
    this.#chain = this.#chain
      .then(guarded)
      .catch((error: unknown) => this.fail(new AppError('PIPE_KAFKA_FATAL', 'a group handler threw', { cause: error })))
    return this.#chain
  }

  async #fetch(): Promise<void> {
    this.#fetching = false
    const one = this.#next()
    if (one === undefined) return
    const { log, maxRecords } = this.#host
    const { topic, partition } = one.partition
    const records = log.read(topic, partition, one.position, maxRecords, this.options.maxBytesPerPartition)
    one.position += BigInt(records.length)
    this.poke()
    const highWatermark = log.range(topic, partition)?.end ?? one.position
    await this.#handlers.onBatch({ topic, partition, records, highWatermark, nextOffset: one.position })
  }

  /** A partition with records to fetch; the next turn begins with another one. */
  #next(): Held | undefined {
    for (const [key, one] of this.#held) {
      if (one.paused) continue
      const range = this.#host.log.range(one.partition.topic, one.partition.partition)
      if (range === undefined) continue
      if (one.position < range.start || one.position > range.end) {
        const requested = one.position
        one.position = range.start
        this.#handlers.onOutOfRange(one.partition, requested, range.start)
      }
      if (one.position >= range.end) continue
      this.#held.delete(key)
      this.#held.set(key, one)
      return one
    }
    return undefined
  }

  #startOf(partition: TopicPartition): bigint {
    const range = this.#host.log.range(partition.topic, partition.partition)
    const fallback = this.options.fallback === 'earliest' ? range?.start : range?.end
    return this.#host.committedOf(partition) ?? fallback ?? 0n
  }

  #own(partitions: readonly TopicPartition[]): Held[] {
    return partitions.flatMap((partition) => this.#held.get(partitionKey(partition)) ?? [])
  }
}
