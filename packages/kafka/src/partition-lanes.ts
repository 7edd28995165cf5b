// The sending half of the partition queue. A lane is one leader of one topic: the partitions of it that are free and have
// events share a request. Invariants: a partition is in at most one request at a time, and keeps the order of its events.
import type { Clock } from '@millrace/kernel'
import type { ProduceOutcome, ProduceRecord, RoutedProducer } from './port.ts'
import type { Entry } from './publish-request.ts'
import type { PublishLimits } from './publisher.ts'

/** One partition: what waits, and how much of it is under way. */
export interface PartitionQueueState {
  readonly topic: string
  readonly partition: number
  /** Where its next batch goes; a hint that the producer corrects. */
  leader: number
  waiting: Entry[]
  /** Waiting and under way. */
  bytes: number
  /** Events in the request that is under way; 0 means free. */
  underWay: number
  sentAtMs: number
  /** The lane that counts its waiting events, while it is free and has some. */
  lane: Lane | undefined
}

interface Lane {
  readonly topic: string
  readonly leader: number
  readonly ready: Set<PartitionQueueState>
  events: number
  bytes: number
  requests: number
  turnEnd: NodeJS.Immediate | undefined
  linger: Disposable | undefined
}

/** One request under way. */
export interface Flight {
  readonly entries: readonly Entry[]
  readonly sentAtMs: number
}

/** What a request carried, told when it is sent. */
export interface Flush {
  readonly topic: string
  readonly leader: number
  readonly partitions: number
  readonly events: number
  readonly bytes: number
}

export interface LanesDeps {
  readonly producer: Pick<RoutedProducer, 'produce'>
  readonly clock: Clock
  readonly limits: PublishLimits
  /** Told each outcome once. */
  readonly onSettled: (entry: Entry, partition: PartitionQueueState, outcome: ProduceOutcome) => void
  /** Told before events are taken from a partition's queue: the place to drop those that waited too long. */
  readonly onTake: (partition: PartitionQueueState, nowMs: number) => void
  readonly onSent: (partitions: readonly PartitionQueueState[], flush: Flush) => void
}

export interface Lanes {
  readonly flights: ReadonlySet<Flight>
  add(partition: PartitionQueueState, entry: Entry): void
  /** Takes the first `count` waiting entries out. */
  remove(partition: PartitionQueueState, count: number): readonly Entry[]
  /** From now on nothing lingers. */
  hurry(): void
}

/** A partition without events. */
export function newPartition(topic: string, partition: number, leader: number): PartitionQueueState {
  return { topic, partition, leader, waiting: [], bytes: 0, underWay: 0, sentAtMs: 0, lane: undefined }
}

/** Lanes over a producer; they send by themselves. */
export function createLanes(deps: LanesDeps): Lanes {
  const { clock, limits } = deps
  const lanes: LaneMap = new Map()
  const flights = new Set<Flight>()
  let hurried = false

  /** Sends at the end of this turn when the leader is idle or enough has gathered, else after the linger. */
  const schedule = (lane: Lane): void => {
    if (lane.turnEnd !== undefined) return
    const enough = lane.events >= limits.maxBatchEvents || lane.bytes >= limits.maxBatchBytes
    if (lane.requests === 0 || enough || hurried) {
      lane.turnEnd = setImmediate(() => flush(lane))
    } else lane.linger ??= clock.timer(limits.lingerMs, () => flush(lane))
  }

  const makeReady = (partition: PartitionQueueState): void => {
    const lane = laneOf(lanes, partition)
    partition.lane = lane
    lane.ready.add(partition)
    lane.events += partition.waiting.length
    for (const { bytes } of partition.waiting) lane.bytes += bytes
    schedule(lane)
  }

  const flush = (lane: Lane): void => {
    clearImmediate(lane.turnEnd)
    lane.turnEnd = undefined
    lane.linger?.[Symbol.dispose]()
    lane.linger = undefined
    const nowMs = clock.monotonic()
    const taken: Taken[] = []
    for (const partition of lane.ready) {
      deps.onTake(partition, nowMs)
      const batch = remove(partition, batchSize(partition.waiting, limits))
      partition.lane = undefined
      if (batch.length > 0) taken.push([partition, batch])
    }
    lane.ready.clear()
    lane.events = 0
    lane.bytes = 0
    if (taken.length > 0) void send(lane, taken, nowMs)
  }

  const send = async (lane: Lane, taken: readonly Taken[], nowMs: number): Promise<void> => {
    const { entries, owners, records, bytes } = gather(taken, nowMs)
    const flight: Flight = { entries, sentAtMs: nowMs }
    const settle = (index: number, outcome: ProduceOutcome | undefined): void => {
      const [entry, partition] = [entries[index], owners[index]]
      if (entry === undefined || partition === undefined || entry.state === 'settled') return
      deps.onSettled(entry, partition, outcome ?? noOutcome)
      entry.state = 'settled'
      if (--partition.underWay === 0 && partition.waiting.length > 0) makeReady(partition)
    }
    lane.requests++
    const partitions = taken.map(([partition]) => partition)
    deps.onSent(partitions, {
      topic: lane.topic,
      leader: lane.leader,
      partitions: taken.length,
      events: entries.length,
      bytes
    })
    flights.add(flight)
    const outcomes = await produce(deps.producer, lane.topic, records, (indexes, known) => {
      for (const index of indexes) settle(index, known[index])
    })
    lane.requests--
    for (let index = 0; index < entries.length; index++) settle(index, outcomes[index])
    flights.delete(flight)
    if (lane.ready.size > 0) flush(lane)
  }

  const remove = (partition: PartitionQueueState, count: number): readonly Entry[] => {
    const taken = partition.waiting.splice(0, count)
    const { lane } = partition
    if (lane === undefined) return taken
    lane.events -= taken.length
    for (const { bytes } of taken) lane.bytes -= bytes
    return taken
  }

  return {
    flights,
    remove,
    add(partition, entry) {
      partition.waiting.push(entry)
      partition.bytes += entry.bytes
      if (partition.underWay > 0) return
      const { lane } = partition
      if (lane === undefined) return makeReady(partition)
      lane.events++
      lane.bytes += entry.bytes
      schedule(lane)
    },
    hurry() {
      hurried = true
      for (const byLeader of lanes.values())
        for (const lane of byLeader.values()) if (lane.ready.size > 0) schedule(lane)
    }
  }
}

type LaneMap = Map<string, Map<number, Lane>>

function laneOf(lanes: LaneMap, { topic, leader }: PartitionQueueState): Lane {
  const byLeader = lanes.get(topic) ?? new Map<number, Lane>()
  lanes.set(topic, byLeader)
  const lane = byLeader.get(leader) ?? newLane(topic, leader)
  byLeader.set(leader, lane)
  return lane
}

/** What one partition gives to a request. */
type Taken = readonly [PartitionQueueState, readonly Entry[]]

const noOutcome: ProduceOutcome = { kind: 'unknown', message: 'the producer gave no outcome' }

function newLane(topic: string, leader: number): Lane {
  return { topic, leader, ready: new Set(), events: 0, bytes: 0, requests: 0, turnEnd: undefined, linger: undefined }
}

/** The events of a request as arrays of equal length; their partitions are under way from now on. */
function gather(taken: readonly Taken[], nowMs: number) {
  const entries: Entry[] = []
  const owners: PartitionQueueState[] = []
  const records: ProduceRecord[] = []
  let bytes = 0
  for (const [partition, batch] of taken) {
    partition.underWay = batch.length
    partition.sentAtMs = nowMs
    for (const entry of batch) {
      bytes += entry.bytes
      entries.push(entry)
      owners.push(partition)
      records.push(toRecord(entry, partition.partition))
    }
  }
  return { entries, owners, records, bytes }
}

/** How many of the first entries make one batch: one at least. */
function batchSize(waiting: readonly Entry[], { maxBatchEvents, maxBatchBytes }: PublishLimits): number {
  let bytes = 0
  for (const [index, entry] of waiting.entries()) {
    bytes += entry.bytes
    if (index > 0 && (index >= maxBatchEvents || bytes > maxBatchBytes)) return index
  }
  return waiting.length
}

function toRecord({ event }: Entry, partition: number): ProduceRecord {
  const { eventId, key = eventId, value, headers } = event
  return headers === undefined ? { partition, key, value } : { partition, key, value, headers }
}

/** The port promises not to throw; if it does, nothing is known about the records. */
async function produce(
  producer: Pick<RoutedProducer, 'produce'>,
  topic: string,
  records: readonly ProduceRecord[],
  onSettled: (indexes: readonly number[], outcomes: readonly ProduceOutcome[]) => void
): Promise<readonly ProduceOutcome[]> {
  try {
    return await producer.produce(topic, records, { onSettled })
  } catch (error) {
    return records.map(() => ({ kind: 'unknown', message: String(error) }))
  }
}
