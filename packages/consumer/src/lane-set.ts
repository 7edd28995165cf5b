// The lanes of a member: assigned and lost together, filled by the driver, moved by sinks that own their positions, and
// paused while they are full. Changed by the loop alone, one event at a time; batches are cut from them in batches.ts.
import { AppError } from '@millrace/kernel'
import { partitionKey } from '@millrace/kafka'
import type { Commit, GroupMember, KafkaRecord, RecordBatch, TopicPartition } from '@millrace/kafka'
import { isFull } from './backpressure.ts'
import type { ConsumerDef, ConsumerDeps, ConsumerSettings, Decoded } from './definition.ts'
import { Lane } from './lane.ts'
import { decodeRecord } from './origin.ts'
import type { Report } from './report.ts'

/** What the lanes need from their loop. */
export interface LaneSetHost<Item> {
  readonly def: Pick<ConsumerDef<Item>, 'startAt' | 'decode' | 'itemBytes' | 'topics'>
  readonly deps: Pick<ConsumerDeps, 'clock'>
  readonly settings: Pick<ConsumerSettings, 'laneRows' | 'laneBytes' | 'totalBytes' | 'decodeOnArrival'>
  readonly report: Report<Item>
}

export class LaneSet<Item> {
  readonly #host: LaneSetHost<Item>
  readonly #lanes = new Map<string, Lane<Item>>()
  #member: GroupMember | undefined
  #joined = false
  #lostAtMs: number

  constructor(host: LaneSetHost<Item>) {
    this.#host = host
    this.#lostAtMs = host.deps.clock.monotonic()
  }

  /** Undefined until the group is joined for the first time. */
  get member(): GroupMember | undefined {
    return this.#member
  }

  /** The member holds an assignment, be it an empty one. */
  get joined(): boolean {
    return this.#joined
  }

  /** Monotonic time since which the member holds no assignment; meaningless while joined. */
  get lostAtMs(): number {
    return this.#lostAtMs
  }

  get size(): number {
    return this.#lanes.size
  }

  /** Nothing is buffered. */
  get empty(): boolean {
    return this.all().every((lane) => lane.load().rows === 0)
  }

  get overBudget(): boolean {
    return this.all().reduce((sum, lane) => sum + lane.heldBytes, 0) >= this.#host.settings.totalBytes
  }

  all(): readonly Lane<Item>[] {
    return [...this.#lanes.values()]
  }

  attach(member: GroupMember): void {
    this.#member = member
  }

  assign(partitions: readonly TopicPartition[], positions: ReadonlyMap<string, bigint>): void {
    this.#joined = true
    for (const partition of partitions) {
      const lane = new Lane<Item>(partition, positions.get(partitionKey(partition)))
      this.#lanes.set(lane.key, lane)
    }
    this.#host.report.assigned(partitions)
  }

  /** Gives up every lane. Those that failed say so themselves. */
  fence(why: string): void {
    let discarded = 0
    for (const lane of this.#lanes.values()) {
      discarded += lane.clear()
      if (lane.state !== 'failed') lane.become('fenced')
    }
    this.#host.report.lost(why, this.#lanes.size, discarded)
    this.#lanes.clear()
    if (this.#joined) this.#lostAtMs = this.#host.deps.clock.monotonic()
    this.#joined = false
  }

  take(batch: RecordBatch): void {
    const lane = this.#lanes.get(partitionKey(batch))
    if (lane === undefined) return
    const { def, deps, report, settings } = this.#host
    const decode = (record: KafkaRecord): Decoded<Item> => decodeRecord(record, def.topics.redrive, def.decode)
    const early = settings.decodeOnArrival ? decode : undefined
    report.taken(batch, lane.take(batch, deps.clock.monotonic(), early, def.itemBytes))
  }

  /** Throws PIPE_TOPIC_DRIFT when the log ends before the position of a sink that owns it. */
  outOfRange(partition: TopicPartition, requested: bigint, logStart: bigint): void {
    const lane = this.#lanes.get(partitionKey(partition))
    if (lane === undefined) return
    this.#host.report.expired(partition, requested, logStart)
    if (logStart < requested && this.#host.def.startAt !== undefined)
      throw new AppError('PIPE_TOPIC_DRIFT', `${lane.key} ends before the position of its sink, ${requested}`)
    lane.jump(requested, logStart)
  }

  /** Lanes without a batch on its way read on from `to`. */
  rewind(to: readonly Commit[]): void {
    for (const commit of to) {
      const lane = this.#lanes.get(partitionKey(commit))
      if (lane?.state === 'filling') this.seek(lane, commit.offset)
    }
  }

  /** Drops what `lane` holds and reads on from `offset`. */
  seek(lane: Lane<Item>, offset: bigint): void {
    lane.rewindTo(offset)
    this.#member?.seek(lane.partition, offset)
    this.#host.report.rewound(lane.partition, offset)
  }

  /** Pauses full and waiting partitions, and resumes them when half of their buffers is free. */
  steer(stopping: boolean): void {
    const { overBudget } = this
    for (const lane of this.#lanes.values()) {
      const full = isFull(lane.load(), this.#host.settings, lane.paused, overBudget)
      const paused = full || stopping || lane.state === 'waiting'
      if (paused === lane.paused) continue
      lane.paused = paused
      if (paused) this.#member?.pause([lane.partition])
      else this.#member?.resume([lane.partition])
    }
  }

  reportLoads(): void {
    this.#host.report.lanes(this.#lanes.values())
  }
}
