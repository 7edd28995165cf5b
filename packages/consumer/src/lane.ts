// One partition while this member holds it: buffered records in offset order and the position up to which everything
// had its effect. The loop (loop.ts) is the only one that mutates it. States: see lane-state.ts.
import { partitionKey } from '@millrace/kafka'
import type { KafkaRecord, RecordBatch, TopicPartition } from '@millrace/kafka'
import type { LetterStage } from './dead-letter.ts'
import type { Decoded } from './definition.ts'
import { mayBecome } from './lane-state.ts'
import type { LaneState } from './lane-state.ts'

/** A buffered record. */
export interface Entry<Item> {
  readonly record: KafkaRecord
  /** Position after it. */
  next: bigint
  readonly bytes: number
  /** What is held for it beside its bytes: the item that was made when it arrived. */
  readonly itemBytes: number
  readonly arrivedAtMs: number
  /** The verdict on it once it is known, kept over attempts, and who gave it. */
  decoded: Decoded<Item> | undefined
  stage: LetterStage
  /** Its dead letter is stored. */
  lettered: boolean
  /** How often a store refused it by itself. */
  refusals: number
}

/** What is in a buffer, for the flush policy. */
export interface LaneLoad {
  readonly rows: number
  readonly bytes: number
  /** Monotonic time at which the oldest record arrived; Infinity when empty. */
  readonly oldestMs: number
  /** The log has records behind those that are buffered. */
  readonly behind: boolean
}

export class Lane<Item> {
  readonly key: string
  readonly partition: TopicPartition
  #state: LaneState = 'filling'
  #buffer: Entry<Item>[] = []
  #bytes = 0
  #itemBytes = 0
  #position: bigint | undefined
  /** Offset expected next from the driver. */
  #cursor: bigint | undefined
  #highWatermark: bigint | undefined
  /** Rewinds since something was last settled. */
  rewinds = 0
  /** What the driver was last told. */
  paused = false

  constructor(partition: TopicPartition, position: bigint | undefined) {
    this.partition = { topic: partition.topic, partition: partition.partition }
    this.key = partitionKey(partition)
    this.#position = position
    this.#cursor = position
  }

  get state(): LaneState {
    return this.#state
  }

  /** The only place where a lane changes its state. */
  become(next: LaneState): void {
    if (next === this.#state) return
    if (!mayBecome(this.#state, next)) throw new Error(`lane ${this.key} cannot go from ${this.#state} to ${next}`)
    this.#state = next
  }

  /** Position up to which everything had its effect; undefined before the first record of a committed start. */
  get position(): bigint | undefined {
    return this.#position
  }

  /** Offset after the last buffered record. */
  get fetched(): bigint | undefined {
    return this.#cursor
  }

  load(): LaneLoad {
    const behind = (this.#highWatermark ?? 0n) > (this.#cursor ?? 0n)
    return { rows: this.#buffer.length, bytes: this.#bytes, oldestMs: this.#buffer[0]?.arrivedAtMs ?? Infinity, behind }
  }

  /** Bytes of memory that the buffer holds, items included. */
  get heldBytes(): number {
    return this.#bytes + this.#itemBytes
  }

  /** Records behind the end of the log that had no effect yet, as far as known. */
  lag(): bigint {
    if (this.#highWatermark === undefined || this.#position === undefined) return 0n
    return this.#highWatermark > this.#position ? this.#highWatermark - this.#position : 0n
  }

  /**
   * Buffers what was not seen yet, with the verdict of `decode` when it is given and what `bytesOf` says of an item;
   * returns how many records were seen (a driver that fetched them twice).
   */
  take(
    batch: RecordBatch,
    nowMs: number,
    decode?: (record: KafkaRecord) => Decoded<Item>,
    bytesOf: (item: Item) => number = () => 0
  ): number {
    this.#highWatermark = batch.highWatermark
    let repeated = 0
    for (const record of batch.records) {
      if (this.#cursor !== undefined && record.offset < this.#cursor) {
        repeated++
        continue
      }
      const next = record.offset + 1n
      const bytes = sizeOf(record)
      const decoded = decode?.(record)
      const itemBytes = decoded?.kind === 'item' ? bytesOf(decoded.item) : 0
      this.#position ??= record.offset
      this.#buffer.push({
        record,
        next,
        bytes,
        itemBytes,
        arrivedAtMs: nowMs,
        decoded,
        stage: 'decode',
        lettered: false,
        refusals: 0
      })
      this.#bytes += bytes
      this.#itemBytes += itemBytes
      this.#cursor = next
    }
    // Control records and holes at the end of the batch belong to its last record, so that the commit passes them.
    if (this.#cursor === undefined || batch.nextOffset > this.#cursor) {
      const last = this.#buffer.at(-1)
      if (last !== undefined) last.next = batch.nextOffset
      this.#cursor = batch.nextOffset
    }
    return repeated
  }

  /** The oldest records up to the limits, at least one when there is any. */
  peek(maxRows: number, maxBytes: number): readonly Entry<Item>[] {
    let bytes = 0
    let rows = 0
    for (const entry of this.#buffer) {
      if (rows >= maxRows || (rows > 0 && bytes + entry.bytes > maxBytes)) break
      bytes += entry.bytes
      rows++
    }
    return this.#buffer.slice(0, rows)
  }

  /** The first `rows` records had their effect; the position moves to `to`. */
  settle(rows: number, to: bigint): void {
    for (const entry of this.#buffer.splice(0, rows)) {
      this.#bytes -= entry.bytes
      this.#itemBytes -= entry.itemBytes
    }
    this.#position = to
    this.rewinds = 0
  }

  /** Drops the buffer and goes on at `to`. */
  rewindTo(to: bigint): void {
    this.clear()
    this.#position = to
    this.#cursor = to
    this.rewinds++
  }

  /** The log begins only at `logStart`. What lies before is gone, and the next batch covers the hole. */
  jump(requested: bigint, logStart: bigint): void {
    if (logStart < requested) this.clear()
    this.#position = logStart < requested ? logStart : (this.#position ?? requested)
    this.#cursor = logStart
  }

  /** Drops the buffer; returns how many records it held. */
  clear(): number {
    const rows = this.#buffer.length
    this.#buffer = []
    this.#bytes = 0
    this.#itemBytes = 0
    return rows
  }
}

function sizeOf(record: KafkaRecord): number {
  let bytes = 64 + (record.value?.byteLength ?? 0) + (record.key?.byteLength ?? 0)
  for (const name in record.headers) bytes += name.length + (record.headers[name]?.byteLength ?? 0)
  return bytes
}
