// Publishing with one queue per partition: requests share produce requests, at most one is outstanding per partition, and
// every event is settled exactly once. It bounds bytes and age and fails fast; trying again is the producer's business.
import type { Clock } from '@millrace/kernel'
import { createKafkaBreaker } from './kafka-breaker.ts'
import type { KafkaBreaker } from './kafka-breaker.ts'
import { createLanes } from './partition-lanes.ts'
import type { Flush, Lanes, PartitionQueueState } from './partition-lanes.ts'
import { partitionFor } from './partitioner.ts'
import type { ProduceOutcome, RoutedProducer } from './port.ts'
import { answer } from './publish-request.ts'
import type { Entry, PublishRequest } from './publish-request.ts'
import { defaultPublishLimits } from './publisher.ts'
import type { OutgoingEvent, PublishLimits, PublishOutcome, Publisher, UnavailableReason } from './publisher.ts'
import { createTopicBook } from './topic-book.ts'
import type { TopicBook, TopicState } from './topic-book.ts'

export interface PartitionQueueDeps {
  readonly producer: Pick<RoutedProducer, 'produce' | 'leaders'>
  readonly topicOf: (project: string) => string
  readonly clock: Clock
  readonly limits?: Partial<PublishLimits>
  /** Most bytes of one project; default a quarter of `maxQueuedBytes`. */
  readonly maxProjectBytes?: (project: string) => number
  readonly partitionFor?: (key: string, partitions: number) => number
  /** Told of each request when it is sent. */
  readonly onFlush?: (flush: Flush) => void
}

const sweepEveryMs = 100
/** What an event costs in memory beyond its bytes. */
const entryBytes = 128

const outcomes = {
  acked: { kind: 'acked' },
  unknown: { kind: 'unknown' }
} as const satisfies Record<string, PublishOutcome>

/** A publisher over `producer`; see the invariants at the top. */
export function createPartitionQueue(deps: PartitionQueueDeps): Publisher {
  return new PartitionQueue(deps)
}

class PartitionQueue implements Publisher {
  readonly #clock: Clock
  readonly #choosePartition: (key: string, partitions: number) => number
  readonly #limits: PublishLimits
  readonly #breaker: KafkaBreaker
  readonly #speed = createSpeed()
  readonly #lanes: Lanes
  readonly #topics: TopicBook
  readonly #idle = new Set<() => void>()
  #queuedBytes = 0
  #stopping = false
  #sweeper: Disposable | undefined

  constructor(deps: PartitionQueueDeps) {
    const { producer, clock } = deps
    const limits: PublishLimits = { ...defaultPublishLimits, ...deps.limits }
    this.#clock = clock
    this.#choosePartition = deps.partitionFor ?? partitionFor
    this.#limits = limits
    this.#breaker = createKafkaBreaker(limits.breakAfterMs, limits.probeEveryMs)
    this.#lanes = createLanes({
      producer,
      clock,
      limits,
      onSettled: (entry, partition, outcome) => this.#settled(entry, partition, outcome),
      onTake: (partition, nowMs) => this.#expire(partition, nowMs - limits.maxAgeMs, 'stalled'),
      onSent: (partitions, flush) => {
        for (const partition of partitions) this.#breaker.sent(partition)
        deps.onFlush?.(flush)
      }
    })
    this.#topics = createTopicBook({
      leaders: producer.leaders,
      topicOf: deps.topicOf,
      maxBytes: deps.maxProjectBytes ?? (() => limits.maxQueuedBytes / 4),
      clock,
      onKnown: (state, parked) => {
        for (const entry of parked) this.#place(entry, state)
      },
      onFailure: (parked, missing) => {
        for (const entry of parked) this.#turnAway(entry, missing ? 'no_topic' : 'not_stored')
      }
    })
  }

  publish(event: OutgoingEvent): Promise<PublishOutcome> {
    return new Promise((resolve) => this.#submit([event], ([outcome = outcomes.unknown]) => resolve(outcome)))
  }

  publishAll(events: readonly OutgoingEvent[]): Promise<readonly PublishOutcome[]> {
    return new Promise((resolve) => this.#submit(events, resolve))
  }

  queuedBytes(): number {
    return this.#queuedBytes
  }

  retryAfterMs(): number {
    if (this.#breaker.isOpen()) return this.#limits.probeEveryMs
    return Math.min(this.#speed.timeFor(this.#queuedBytes), 30_000)
  }

  async drain(): Promise<void> {
    this.#stopping = true
    this.#lanes.hurry()
    if (this.#queuedBytes > 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#idle.add(resolve)
      using _limit = this.#clock.timer(this.#limits.drainMs, resolve)
      await promise
      this.#idle.delete(resolve)
    }
    this.#dropWaiting(Number.POSITIVE_INFINITY, 'stopping')
    for (const { entries } of this.#lanes.flights) for (const entry of entries) answer(entry, outcomes.unknown)
    this.#sweeper?.[Symbol.dispose]()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drain()
  }

  /** Admits the events of a request; `done` is called once, when every one of them has its outcome. */
  #submit(events: readonly OutgoingEvent[], done: (all: readonly PublishOutcome[]) => void): void {
    if (events.length === 0) return done([])
    const request: PublishRequest = { outcomes: [], left: events.length, done }
    const atMs = this.#clock.monotonic()
    for (const [index, event] of events.entries()) {
      const bytes = event.value.byteLength + event.eventId.length + entryBytes
      this.#admit({ event, bytes, atMs, request, index, state: 'waiting' })
    }
  }

  #admit(entry: Entry): void {
    const state = this.#topics.of(entry.event.project)
    if (this.#queuedBytes === 0) this.#begin(entry.atMs)
    state.bytes += entry.bytes
    this.#queuedBytes += entry.bytes
    if (this.#stopping) return this.#turnAway(entry, 'stopping')
    if (this.#queuedBytes > this.#limits.maxQueuedBytes) return this.#turnAway(entry, 'queue_full')
    if (state.bytes > state.maxBytes) return this.#turnAway(entry, 'project_full')
    this.#topics.refresh(state, entry.atMs)
    if (state.count > 0) return this.#place(entry, state)
    if (entry.atMs - state.askedAtMs >= this.#limits.maxAgeMs) return this.#turnAway(entry, 'stalled')
    state.parked.push(entry)
  }

  /** Puts an admitted entry into its partition's queue, or turns it away. */
  #place(entry: Entry, state: TopicState): void {
    const { eventId, key = eventId } = entry.event
    const partition = state.partitions[this.#choosePartition(key, state.count)]
    if (partition === undefined) return this.#turnAway(entry, 'no_topic')
    const busy = partition.underWay > 0
    if (partition.bytes + entry.bytes > this.#limits.maxPartitionBytes) return this.#turnAway(entry, 'queue_full')
    if (this.#breaker.isOpen() && (busy || !this.#breaker.admits(partition, entry.atMs)))
      return this.#turnAway(entry, 'kafka_down')
    if (busy && entry.atMs - partition.sentAtMs >= this.#limits.maxAgeMs) return this.#turnAway(entry, 'stalled')
    this.#lanes.add(partition, entry)
  }

  #settled(entry: Entry, partition: PartitionQueueState, outcome: ProduceOutcome): void {
    if (outcome.kind !== 'unknown') this.#breaker.answered(this.#clock.monotonic())
    if (outcome.kind === 'acked') {
      this.#speed.add(entry.bytes)
      if (entry.state === 'answered') entry.event.onLateAck?.()
    }
    if (outcome.kind === 'refused' && outcome.code === 'UNKNOWN_PARTITION')
      this.#topics.of(entry.event.project).askedAtMs = 0
    answer(entry, toPublishOutcome(outcome))
    this.#release(entry, partition)
  }

  #turnAway(entry: Entry, reason: UnavailableReason, partition?: PartitionQueueState): void {
    answer(entry, { kind: 'unavailable', reason })
    entry.state = 'settled'
    this.#release(entry, partition)
  }

  /** The entry is over: its bytes are free. */
  #release(entry: Entry, partition?: PartitionQueueState): void {
    if (partition !== undefined) partition.bytes -= entry.bytes
    this.#topics.of(entry.event.project).bytes -= entry.bytes
    this.#queuedBytes -= entry.bytes
    if (this.#queuedBytes === 0) for (const resolve of this.#idle) resolve()
  }

  /** There is work again. */
  #begin(nowMs: number): void {
    this.#breaker.begin(nowMs)
    this.#speed.begin(nowMs)
    if (!this.#stopping) this.#sweeper ??= this.#clock.timer(sweepEveryMs, () => this.#sweep())
  }

  /** Whatever depends on time alone, ten times a second while there is anything to do. */
  #sweep(): void {
    this.#sweeper = this.#queuedBytes > 0 ? this.#clock.timer(sweepEveryMs, () => this.#sweep()) : undefined
    const nowMs = this.#clock.monotonic()
    this.#speed.tick(nowMs)
    const { flights } = this.#lanes
    for (const { entries, sentAtMs } of flights) {
      if (nowMs - sentAtMs < this.#limits.answerAfterMs) continue
      for (const entry of entries) answer(entry, outcomes.unknown)
    }
    if (flights.size > 0 && this.#breaker.check(nowMs)) return this.#dropWaiting(nowMs, 'kafka_down')
    this.#dropWaiting(nowMs - this.#limits.maxAgeMs, 'stalled')
  }

  /** Turns away everything that is not under way and came at `sinceMs` or before. */
  #dropWaiting(sinceMs: number, reason: UnavailableReason): void {
    for (const state of this.#topics.all()) {
      if (state.bytes === 0) continue
      const young = state.parked.findIndex(({ atMs }) => atMs > sinceMs)
      for (const entry of state.parked.splice(0, young < 0 ? state.parked.length : young)) this.#turnAway(entry, reason)
      for (const partition of state.partitions)
        if (partition.waiting.length > 0) this.#expire(partition, sinceMs, reason)
    }
  }

  /** Turns away what has waited in a partition since `sinceMs` or longer. */
  #expire(partition: PartitionQueueState, sinceMs: number, reason: UnavailableReason): void {
    const { waiting } = partition
    const young = waiting.findIndex(({ atMs }) => atMs > sinceMs)
    const old = this.#lanes.remove(partition, young < 0 ? waiting.length : young)
    for (const entry of old) this.#turnAway(entry, reason, partition)
  }
}

function toPublishOutcome(outcome: ProduceOutcome): PublishOutcome {
  switch (outcome.kind) {
    case 'acked':
      return outcomes.acked
    case 'unknown':
      return outcome.notStored === true ? { kind: 'unavailable', reason: 'not_stored' } : outcomes.unknown
    case 'refused':
      return { kind: 'refused', code: outcome.code }
  }
}

/** Bytes acknowledged per millisecond, smoothed over about a second. */
function createSpeed() {
  let bytes = 0
  let perMs = 0
  let sinceMs = 0
  return {
    add: (more: number): void => void (bytes += more),
    /** What lies before is idle time. */
    begin(nowMs: number): void {
      sinceMs = nowMs
    },
    tick(nowMs: number): void {
      const elapsedMs = Math.max(1, nowMs - sinceMs)
      const weight = Math.min(1, elapsedMs / 1_000)
      perMs += (bytes / elapsedMs - perMs) * weight
      bytes = 0
      sinceMs = nowMs
    },
    timeFor: (queued: number): number => (queued === 0 ? 0 : Math.round(queued / Math.max(perMs, 1)))
  }
}
