// Samples put together: records and seconds behind, rates, changes of leaders, and the state of each partition by the rule
// of hot-partitions.ts. Pure: whoever samples decides when, and reads the few records that it asks for.
import { partitionKey } from '@millrace/kafka'
import type { Commit, PartitionHead } from '@millrace/kafka'
import { hotRule, isCalm, judgeSample, noStreak, stateOf, withSample } from './hot-partitions.ts'
import type { HotRule, PartitionState, Streak } from './hot-partitions.ts'
import type { GroupSample, LagSample } from './lag-sample.ts'
import { createTimeMarks } from './time-marks.ts'
import type { TimeMarks } from './time-marks.ts'
import { createTrack } from './track.ts'
import type { Track } from './track.ts'

/** One partition as one group reads it. */
export interface LagRow {
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly position: bigint
  readonly end: bigint
  readonly records: number
  /** Age of the next record; 0 without one, undefined while nothing is known of it. */
  readonly seconds: number | undefined
  /** The next record is older than the first sample, and was not read: `seconds` is the least that it can be. */
  readonly isAtLeast: boolean
  /** Records per second over the last minute. */
  readonly consumeRate: number
  /** In this sample. */
  readonly now: PartitionState
  /** Over the samples that the rule looks back on. */
  readonly state: PartitionState
  /** Nothing was behind in the last minute. */
  readonly calm: boolean
}

export interface ProduceRow {
  readonly topic: string
  readonly partition: number
  readonly leader: number
  /** Records per second over the last minute. */
  readonly produceRate: number
}

export interface LagView {
  readonly atMs: number
  readonly rows: readonly LagRow[]
  readonly partitions: readonly ProduceRow[]
  /** Partitions led by another node than in the sample before. */
  readonly leaderChanges: number
}

export interface LagBookOptions {
  /** Time between samples. */
  readonly everyMs: number
  readonly rule?: HotRule
  /** Seconds that the sink of a group keeps records by design before they take effect. */
  readonly heldSeconds?: (group: string) => number
}

export interface LagBook {
  /** Takes a sample in. */
  take(sample: LagSample): void
  /** Positions whose time is not known well, the least known first: append times of these are worth a request. */
  unclear(limit: number): readonly Commit[]
  /** Append times that were read, by `partitionKey` of the positions of `unclear`. */
  learn(positions: readonly Commit[], times: ReadonlyMap<string, number>): void
  /** What the last sample says, with all that was learned; once for each sample. */
  judge(): LagView
  /** The last judgement. */
  view(): LagView
}

interface Place {
  readonly marks: TimeMarks
  readonly ends: Track
  leader: number
}
interface GroupPlace {
  readonly positions: Track
  streak: Streak
}

interface BookState {
  readonly options: Required<LagBookOptions>
  readonly places: Map<string, Place>
  readonly groups: Map<string, Map<string, GroupPlace>>
  last: LagSample | undefined
  /** Samples that were due between the last two. */
  missed: number
  leaderChanges: number
  judged: LagView
}

/** Creates an empty book. */
export function createLagBook({ everyMs, rule = hotRule, heldSeconds = () => 0 }: LagBookOptions): LagBook {
  const state: BookState = {
    options: { everyMs, rule, heldSeconds },
    places: new Map(),
    groups: new Map(),
    last: undefined,
    missed: 0,
    leaderChanges: 0,
    judged: { atMs: 0, rows: [], partitions: [], leaderChanges: 0 }
  }
  return {
    take(sample) {
      const sinceMs = state.last === undefined ? everyMs : sample.atMs - state.last.atMs
      state.missed = Math.max(0, Math.round(sinceMs / everyMs) - 1)
      noteHeads(state, sample)
      for (const group of sample.groups) noteGroup(state, sample, group)
      forgetMarks(sample, state.places)
      state.last = sample
    },
    unclear: (limit) => (state.last === undefined ? [] : unclearIn(state, state.last).slice(0, limit)),
    learn(positions, times) {
      for (const position of positions) {
        const time = times.get(partitionKey(position))
        if (time !== undefined) state.places.get(partitionKey(position))?.marks.read(position.offset, time)
      }
    },
    judge() {
      if (state.last !== undefined) state.judged = judgeAll(state, state.last)
      return state.judged
    },
    view: () => state.judged
  }
}

function noteHeads(state: BookState, { heads, atMs }: LagSample): void {
  const { places } = state
  keepOnly(places, heads)
  state.leaderChanges = 0
  for (const head of heads) {
    const key = partitionKey(head)
    const place = places.get(key) ?? { marks: createTimeMarks(), ends: createTrack(), leader: head.leader }
    places.set(key, place)
    if (place.leader !== head.leader) state.leaderChanges++
    place.leader = head.leader
    place.marks.ended(head.end, atMs)
    place.ends.add(head.end, atMs)
  }
}

function noteGroup(state: BookState, { heads, atMs }: LagSample, { group, reads, positions }: GroupSample): void {
  const known = state.groups.get(group) ?? new Map<string, GroupPlace>()
  state.groups.set(group, known)
  const read = heads.filter(({ topic }) => reads(topic))
  keepOnly(known, read)
  for (const head of read) {
    const key = partitionKey(head)
    const place = known.get(key) ?? { positions: createTrack(), streak: noStreak }
    known.set(key, place)
    place.positions.add(positionIn(head, positions), atMs)
  }
}

function keepOnly(places: Map<string, unknown>, heads: readonly PartitionHead[]): void {
  const present = new Set(heads.map(partitionKey))
  for (const key of places.keys()) if (!present.has(key)) places.delete(key)
}

function unclearIn({ options: { everyMs }, places }: BookState, { atMs, heads, groups }: LagSample): readonly Commit[] {
  const asked = new Map<string, { readonly commit: Commit; readonly spanMs: number }>()
  for (const { reads, positions } of groups) {
    for (const head of heads) {
      if (!reads(head.topic)) continue
      const key = partitionKey(head)
      const offset = positionIn(head, positions)
      const time = offset < head.end ? places.get(key)?.marks.at(offset) : undefined
      if (time === undefined || time.spanMs <= Math.max(3 * everyMs, 0.1 * (atMs - time.atMs))) continue
      // One position of a partition at a time: the answer has the name of the partition.
      const known = asked.get(key)
      if (known !== undefined && known.commit.offset <= offset) continue
      asked.set(key, { commit: { topic: head.topic, partition: head.partition, offset }, spanMs: time.spanMs })
    }
  }
  const leastKnown = [...asked.values()].toSorted((a, b) => (a.spanMs === b.spanMs ? 0 : b.spanMs - a.spanMs))
  return leastKnown.map(({ commit }) => commit)
}

function judgeAll(state: BookState, { atMs, heads, groups }: LagSample): LagView {
  const topics = [...Map.groupBy(heads, ({ topic }) => topic)]
  const rows = groups.flatMap((group) =>
    topics.filter(([topic]) => group.reads(topic)).flatMap(([, own]) => judgeTopic(state, group, own, atMs))
  )
  const partitions = heads.map(({ topic, partition, leader }) => {
    const produceRate = state.places.get(partitionKey({ topic, partition }))?.ends.rate() ?? 0
    return { topic, partition, leader, produceRate }
  })
  return { atMs, rows, partitions, leaderChanges: state.leaderChanges }
}

function judgeTopic(
  { options: { rule, heldSeconds }, places, groups, missed }: BookState,
  { group, positions }: GroupSample,
  heads: readonly PartitionHead[],
  atMs: number
): readonly LagRow[] {
  const measured = heads.map((head) => {
    const { topic, partition, end } = head
    const key = partitionKey(head)
    const position = positionIn(head, positions)
    const records = end > position ? Number(end - position) : 0
    const time = records === 0 ? undefined : places.get(key)?.marks.at(position)
    const seconds = records === 0 ? 0 : time === undefined ? undefined : Math.max(0, (atMs - time.atMs) / 1_000)
    const place = groups.get(group)?.get(key)
    const consumeRate = place?.positions.rate() ?? 0
    const isAtLeast = time?.spanMs === Number.POSITIVE_INFINITY
    return { place, row: { group, topic, partition, position, end, records, seconds, isAtLeast, consumeRate } }
  })
  const states = judgeSample(
    measured.map(({ row: { records, seconds = 0, consumeRate } }) => ({ records, seconds, consumeRate })),
    rule,
    heldSeconds(group)
  )
  return measured.map(({ place, row }, index) => {
    const now = states[index] ?? 'fine'
    const streak = withSample(place?.streak ?? noStreak, now, missed, rule)
    if (place !== undefined) place.streak = streak
    return { ...row, now, state: stateOf(streak, rule), calm: isCalm(streak) }
  })
}

/** Where a group goes on: what retention took is not behind it any more. */
function positionIn(head: PartitionHead, positions: ReadonlyMap<string, bigint>): bigint {
  const position = positions.get(partitionKey(head)) ?? head.start
  return position < head.start ? head.start : position
}

/** Marks below the position of the slowest group are not asked for. */
function forgetMarks({ heads, groups }: LagSample, places: ReadonlyMap<string, Place>): void {
  for (const head of heads) {
    let lowest = head.end
    for (const { reads, positions } of groups) {
      const position = reads(head.topic) ? positionIn(head, positions) : lowest
      if (position < lowest) lowest = position
    }
    places.get(partitionKey(head))?.marks.forget(lowest)
  }
}
