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

/** A group whose position was not known, and why. */
export interface UnknownGroup {
  readonly group: string
  readonly reason: string
}

export interface LagView {
  readonly atMs: number
  readonly rows: readonly LagRow[]
  readonly partitions: readonly ProduceRow[]
  /** Partitions led by another node than in the sample before. */
  readonly leaderChanges: number
  /** Groups that could not be asked in this sample: they have no rows. */
  readonly unknown: readonly UnknownGroup[]
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

/** One partition, and what the last sample said of it. */
interface Place {
  readonly key: string
  readonly marks: TimeMarks
  readonly ends: Track
  /** By group; those that could not be asked keep what they had. */
  readonly readers: Map<string, Reader>
  head: PartitionHead
  /** The sample that it was last in. */
  turn: number
  /** Of the slowest group in the last sample. */
  lowest: bigint
}
interface Reader {
  readonly place: Place
  readonly track: Track
  streak: Streak
  /** In the last sample. */
  position: bigint
}

/** The last sample, put to the places: topics with their partitions, and for each group the topics that it reads. */
interface Taken {
  readonly atMs: number
  readonly places: readonly Place[]
  readonly groups: readonly {
    readonly group: string
    readonly topics: readonly (readonly Reader[])[]
  }[]
  readonly unknown: readonly UnknownGroup[]
}

interface BookState {
  readonly options: Required<LagBookOptions>
  readonly places: Map<string, Place>
  last: Taken | undefined
  /** Samples that were taken. */
  turn: number
  /** Samples that were due between the last two. */
  missed: number
  leaderChanges: number
  judged: LagView
}

/** Creates an empty book. A sample of a thousand partitions takes it milliseconds: names are looked up once in each. */
export function createLagBook({ everyMs, rule = hotRule, heldSeconds = () => 0 }: LagBookOptions): LagBook {
  const state: BookState = {
    options: { everyMs, rule, heldSeconds },
    places: new Map(),
    last: undefined,
    turn: 0,
    missed: 0,
    leaderChanges: 0,
    judged: { atMs: 0, rows: [], partitions: [], leaderChanges: 0, unknown: [] }
  }
  return {
    take(sample) {
      const sinceMs = state.last === undefined ? everyMs : sample.atMs - state.last.atMs
      state.missed = Math.max(0, Math.round(sinceMs / everyMs) - 1)
      const places = noteHeads(state, sample)
      const topics = Map.groupBy(places, ({ head }) => head.topic)
      const groups = sample.groups.map((group) => ({
        group: group.group,
        topics: [...topics].flatMap(([topic, own]) =>
          group.reads(topic) ? [notePositions(group, own, sample.atMs)] : []
        )
      }))
      const unknown = sample.failed.map(({ group, error }) => ({ group, reason: error.message }))
      state.last = { atMs: sample.atMs, places, groups, unknown }
      // Marks below the position of the slowest group are not asked for.
      for (const { marks, lowest } of places) marks.forget(lowest)
    },
    unclear: (limit) => (state.last === undefined ? [] : unclearIn(state.options, state.last).slice(0, limit)),
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

/** The places of the partitions that are there; what was known of others is gone. */
function noteHeads(state: BookState, { heads, atMs }: LagSample): readonly Place[] {
  const { places } = state
  const turn = ++state.turn
  state.leaderChanges = 0
  const present = heads.map((head) => {
    const place = places.get(partitionKey(head)) ?? newPlace(head)
    if (place.turn === 0) places.set(place.key, place)
    if (place.head.leader !== head.leader) state.leaderChanges++
    Object.assign(place, { head, turn, lowest: head.end })
    place.marks.ended(head.end, atMs)
    place.ends.add(head.end, atMs)
    return place
  })
  if (places.size > present.length)
    for (const place of places.values()) if (place.turn !== turn) places.delete(place.key)
  return present
}

function newPlace(head: PartitionHead): Place {
  const key = partitionKey(head)
  return { key, marks: createTimeMarks(), ends: createTrack(), readers: new Map(), head, turn: 0, lowest: head.end }
}

function notePositions({ group, positions }: GroupSample, places: readonly Place[], atMs: number): readonly Reader[] {
  return places.map((place) => {
    const { key, head, readers } = place
    const told = positions.get(key) ?? head.start
    // Where the group goes on: what retention took is not behind it any more.
    const position = told < head.start ? head.start : told
    const known = readers.get(group)
    const reader = known ?? { place, track: createTrack(), streak: noStreak, position }
    if (known === undefined) readers.set(group, reader)
    reader.position = position
    reader.track.add(position, atMs)
    if (position < place.lowest) place.lowest = position
    return reader
  })
}

function unclearIn({ everyMs }: Required<LagBookOptions>, { atMs, groups }: Taken): readonly Commit[] {
  const asked = new Map<Place, { readonly commit: Commit; readonly spanMs: number }>()
  for (const { place, position: offset } of groups.flatMap(({ topics }) => topics).flat()) {
    const { head, marks } = place
    const time = offset < head.end ? marks.at(offset) : undefined
    if (time === undefined || time.spanMs <= Math.max(3 * everyMs, 0.1 * (atMs - time.atMs))) continue
    // One position of a partition at a time: the answer has the name of the partition.
    const known = asked.get(place)
    if (known !== undefined && known.commit.offset <= offset) continue
    asked.set(place, { commit: { topic: head.topic, partition: head.partition, offset }, spanMs: time.spanMs })
  }
  const leastKnown = [...asked.values()].toSorted((a, b) => (a.spanMs === b.spanMs ? 0 : b.spanMs - a.spanMs))
  return leastKnown.map(({ commit }) => commit)
}

function judgeAll(state: BookState, { atMs, places, groups, unknown }: Taken): LagView {
  const rows = groups.flatMap(({ group, topics }) => topics.flatMap((own) => judgeTopic(state, group, own, atMs)))
  const partitions = places.map(({ head: { topic, partition, leader }, ends }) => ({
    topic,
    partition,
    leader,
    produceRate: ends.rate()
  }))
  return { atMs, rows, partitions, leaderChanges: state.leaderChanges, unknown }
}

function judgeTopic(
  { options: { rule, heldSeconds }, missed }: BookState,
  group: string,
  own: readonly Reader[],
  atMs: number
): readonly LagRow[] {
  const measured = own.map(({ place: { head, marks }, position, track }) => {
    const records = head.end > position ? Number(head.end - position) : 0
    const time = records === 0 ? undefined : marks.at(position)
    const known = records === 0 || time !== undefined
    const seconds = time === undefined ? 0 : Math.max(0, (atMs - time.atMs) / 1_000)
    return { records, seconds, known, isAtLeast: time?.spanMs === Number.POSITIVE_INFINITY, consumeRate: track.rate() }
  })
  const states = judgeSample(measured, rule, heldSeconds(group))
  return measured.map(({ records, seconds, known, isAtLeast, consumeRate }, index): LagRow => {
    // One for each.
    const [reader, now] = [own[index]!, states[index]!]
    const { head } = reader.place
    reader.streak = withSample(reader.streak, now, missed, rule)
    return {
      group,
      topic: head.topic,
      partition: head.partition,
      position: reader.position,
      end: head.end,
      records,
      seconds: known ? seconds : undefined,
      isAtLeast,
      consumeRate,
      now,
      state: stateOf(reader.streak, rule),
      calm: isCalm(reader.streak)
    }
  })
}
