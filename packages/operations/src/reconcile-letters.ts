// What the dead letters say about the records of a part of the log. One that is closed says nothing for the sinks any more:
// all groups that it was sent to passed its record without failing again, so they have it.
import { parseLetter } from '@millrace/consumer'
import type { Letter } from '@millrace/consumer'
import { dlqTopic, rawTopic } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Admin } from '@millrace/kafka'
import { letterStateOf } from './letter-states.ts'
import type { LetterPlace } from './letter-states.ts'
import { openRedriven } from './letters.ts'
import type { FoundLetter } from './letters.ts'
import { readLog } from './read-log.ts'
import type { ReadLogDeps } from './read-log.ts'
import type { LetterFates } from './reconcile-compare.ts'
import { redriveGroups } from './redrive-targets.ts'

export interface RangeLetters extends LetterFates {
  /** The processors wrote one. */
  isLettered(place: LetterPlace): boolean
  /** A letter of a record of this age may have been there, and retention took it. */
  isForgotten(appendedAtMs: number): boolean
}

export interface RangeLettersDeps {
  readonly admin: Pick<Admin, 'listTopics' | 'ranges' | 'offsetsAt' | 'groupOffsets'>
  readonly log: ReadLogDeps
}

/** Groups by what they do. */
export interface ComparedGroups {
  readonly load: string
  readonly process: string
  readonly aggregate: string
}

export interface RangeLettersWanted {
  readonly projectId: string
  /** Append time of the oldest record. */
  readonly sinceMs: number
  /** Letters at most. */
  readonly maxHeld: number
  readonly groups: ComparedGroups
}

/** What a letter says, and where its latest copy lies. */
interface Held extends Pick<FoundLetter, 'group' | 'at'> {
  /** Of the record. */
  readonly place: string
  /** The processors wrote it. */
  readonly isOfProcessors: boolean
  /** The loaders lack the record because of what it says. */
  readonly excuses: boolean
  /** The aggregators may lack it. */
  readonly uncounted: boolean
}

/** Reads them. Throws PIPE_INVALID_INPUT when there are more than `maxHeld`, PIPE_KAFKA_UNAVAILABLE, PIPE_DEADLINE. */
export async function readRangeLetters(deps: RangeLettersDeps, wanted: RangeLettersWanted): Promise<RangeLetters> {
  const { admin, log } = deps
  const topics = await admin.listTopics()
  if (wanted.sinceMs === Infinity || !topics.includes(dlqTopic(wanted.projectId)))
    return toRangeLetters([], () => false)
  // Positions before letters: what a group has passed by then and failed at has its new letter in what is read below.
  const held = new Map<string, Held>()
  const redriven = await openRedriven(admin, topics, { ...wanted, isWanted: (id) => held.has(id) })
  const isForgotten = await holdLetters(deps, wanted, held)
  if (held.size > 0)
    await readLog(log, redriven.parts, (records) => {
      for (const record of records) redriven.take(record)
    })
  const isClosed = (id: string, letter: Held): boolean => letterStateOf(letter, redriven.of(id), undefined) === 'closed'
  const judged = [...held].map(([id, letter]) => ({ ...letter, excuses: letter.excuses && !isClosed(id, letter) }))
  return toRangeLetters(judged, isForgotten)
}

async function holdLetters(
  { admin, log }: RangeLettersDeps,
  { projectId, sinceMs, maxHeld, groups }: RangeLettersWanted,
  held: Map<string, Held>
): Promise<RangeLetters['isForgotten']> {
  const topic = dlqTopic(projectId)
  const raw = rawTopic(projectId)
  const starts = await admin.offsetsAt(topic, sinceMs)
  const parts = (await admin.ranges(topic)).map(({ partition, start, end }) => {
    const from = starts.get(partition) ?? start
    return { topic, partition, from, to: end, mayLack: start > 0n && from <= start }
  })
  const firstMs = new Map<number, number>()
  await readLog(log, parts, (records) => {
    for (const record of records) {
      const { partition, offset, appendedAtMs } = record
      if (!firstMs.has(partition)) firstMs.set(partition, appendedAtMs)
      const letter = parseLetter(record)
      if (letter?.origin.topic !== raw || !Object.values(groups).includes(letter.group)) continue
      // The log may be handed over twice after a rebalance.
      const earlier = held.get(letter.id)?.at
      if (earlier?.partition === partition && earlier.offset >= offset) continue
      held.set(letter.id, toHeld(letter, { partition, offset }, groups))
    }
    if (held.size > maxHeld)
      throw new AppError(
        'PIPE_INVALID_INPUT',
        `there are more than ${maxHeld} dead letters in the range; compare a shorter time`
      )
  })
  const lacking = parts.filter(({ mayLack }) => mayLack)
  // A letter is younger than its record, and lies in one partition or another: topics grow.
  return (appendedAtMs) => lacking.some(({ partition }) => appendedAtMs < (firstMs.get(partition) ?? Infinity))
}

function toHeld(letter: Letter, at: LetterPlace, { load, process, aggregate }: ComparedGroups): Held {
  const { group, origin } = letter
  const lacking = redriveGroups({ loadingGroups: [load], recordingGroups: [] }, letter)
  const wasNoEvent = group === process && lacking.includes(load)
  return {
    group,
    at,
    place: placeKey(origin),
    isOfProcessors: group === process,
    excuses: group === load || wasNoEvent,
    uncounted: group === aggregate || wasNoEvent
  }
}

function toRangeLetters(letters: readonly Held[], isForgotten: RangeLetters['isForgotten']): RangeLetters {
  const placesOf = (which: (letter: Held) => boolean): ReadonlySet<string> =>
    new Set(letters.filter(which).map(({ place }) => place))
  const excused = placesOf(({ excuses }) => excuses)
  const uncounted = placesOf((letter) => letter.uncounted)
  const lettered = placesOf(({ isOfProcessors }) => isOfProcessors)
  return {
    isExcused: (place) => excused.has(placeKey(place)),
    isUncounted: (place) => uncounted.has(placeKey(place)),
    isLettered: (place) => lettered.has(placeKey(place)),
    isForgotten
  }
}

function placeKey({ partition, offset }: LetterPlace): string {
  return `${partition}:${offset}`
}
