// The comparison of one class of keys: every different event of the log is shown, or has a letter that is not closed, else
// it is missing; and nothing else is shown. Pure; who looks for what is absent elsewhere comes in between.
import type { LetterPlace } from './letter-states.ts'

export interface Place extends LetterPlace {
  /** Undefined for what is no event, or is known by its key alone. */
  readonly eventId: string | undefined
}

/** How many there are, and the first of them. */
export interface Found {
  readonly count: number
  readonly examples: readonly Place[]
}

const maxExamples = 20
const hourMs = 3_600_000

interface MutableFound {
  count: number
  readonly examples: Place[]
}

/** How many events an hour of the live state may have counted: those whose record it may have skipped are not in `least`. */
export interface HourCount {
  least: number
  most: number
}

/** What was found so far. */
export interface Tally {
  /** Different events, and further copies of those. */
  events: number
  copies: number
  landed: number
  dead: number
  /** Records that are no events, whose letter retention may have taken. */
  forgotten: number
  /** Events without a row that are older than what the warehouse keeps. */
  past: number
  readonly missing: MutableFound
  readonly extra: MutableFound
  readonly repeated: MutableFound
  readonly unlettered: MutableFound
  /** Different events that came on time, by the hour of their event time in ms. */
  readonly hours: Map<number, HourCount>
}

/** Nothing was found. */
export function createTally(): Tally {
  const found = (): MutableFound => ({ count: 0, examples: [] })
  const empty = { events: 0, copies: 0, landed: 0, dead: 0, forgotten: 0, past: 0 }
  return { ...empty, missing: found(), extra: found(), repeated: found(), unlettered: found(), hours: new Map() }
}

/** Counts `place` in `found`, by name while there is room. */
export function note(found: MutableFound, place: Place): void {
  found.count++
  if (found.examples.length < maxExamples) found.examples.push(place)
}

/** An event as the log has it. */
export interface Logged extends LetterPlace {
  /** As of `eventKey`. */
  readonly key: string
  readonly eventId: string
  readonly timestampMs: number
  /** It came soon enough for the live state. */
  readonly isOnTime: boolean
}

/** A line of the log's side of the spool. */
export function toLogLine({ key, partition, offset, isOnTime, timestampMs, eventId }: Logged): string {
  const id = Buffer.from(eventId).toString('base64')
  return `${key}\t${partition}\t${offset}\t${isOnTime ? 1 : 0}\t${timestampMs}\t${id}`
}

function parseLogLine(line: string): Logged & { readonly eventType: string } {
  const [eventType = '', day = '', digest = '', partition = '', offset = '', onTime, timestamp = '', id = ''] =
    line.split('\t')
  return {
    key: `${eventType}\t${day}\t${digest}`,
    eventType,
    partition: Number(partition),
    offset: BigInt(offset),
    isOnTime: onTime === '1',
    timestampMs: Number(timestamp),
    eventId: Buffer.from(id, 'base64').toString()
  }
}

/** A line of the other side: a row, and the place of its record. */
export function toShownLine(key: string, partition: number, offset: string): string {
  return `${key}\t${partition}\t${offset}`
}

/** What dead letters say about a record. */
export interface LetterFates {
  /** The warehouse need not have it: a letter says why, and is not closed. */
  isExcused(place: LetterPlace): boolean
  /** The live state need not have counted it, whatever became of its letter since. */
  isUncounted(place: LetterPlace): boolean
}

export interface ClassLines {
  readonly logged: readonly string[]
  readonly shown: readonly string[]
  /** Whether several rows of one event are an error: the table behind the view has them until they are merged. */
  readonly isView: boolean
}

/** An event that no row of the part shows. */
export interface Absent extends Logged {
  readonly eventType: string
  /** By a letter of each of its records. */
  readonly isExcused: boolean
}

interface Merged extends Absent {
  /** The live state has no reason not to have counted it. */
  readonly isCounted: boolean
}

/** Compares the two sides of a class. What is absent here is left to `settle`: its row may be that of a copy elsewhere. */
export function compareClass(
  tally: Tally,
  { logged, shown, isView }: ClassLines,
  letters: LetterFates
): readonly Absent[] {
  const events = mergeCopies(tally, logged, letters)
  const there = new Set<string>()
  for (const line of shown) {
    const at = line.lastIndexOf('\t', line.lastIndexOf('\t') - 1)
    const key = line.slice(0, at)
    const [partition = '', offset = ''] = line.slice(at + 1).split('\t')
    const place = { partition: Number(partition), offset: BigInt(offset), eventId: events.get(key)?.eventId }
    if (!events.has(key)) note(tally.extra, place)
    else if (there.has(key) && isView) note(tally.repeated, place)
    there.add(key)
  }
  const absent: Absent[] = []
  for (const event of events.values()) {
    tally.events++
    if (event.isOnTime) countHour(tally.hours, event)
    if (there.has(event.key)) tally.landed++
    else absent.push(event)
  }
  return absent
}

/** The different events of a class. */
function mergeCopies(tally: Tally, lines: readonly string[], letters: LetterFates): ReadonlyMap<string, Merged> {
  const events = new Map<string, Merged>()
  for (const line of lines) {
    const event = parseLogLine(line)
    const isExcused = letters.isExcused(event)
    const isCounted = event.isOnTime && !letters.isUncounted(event)
    const first = events.get(event.key)
    if (first === undefined) {
      events.set(event.key, { ...event, isExcused, isCounted })
      continue
    }
    tally.copies++
    events.set(event.key, {
      ...first,
      isOnTime: first.isOnTime || event.isOnTime,
      isExcused: first.isExcused && isExcused,
      isCounted: first.isCounted || isCounted
    })
  }
  return events
}

function countHour(hours: Map<number, HourCount>, { timestampMs, isCounted }: Merged): void {
  const hour = timestampMs - (timestampMs % hourMs)
  const count = hours.get(hour) ?? { least: 0, most: 0 }
  count.most++
  if (isCounted) count.least++
  hours.set(hour, count)
}

/**
 * Says what became of what was absent, of which `elsewhere` (keys) has a row of a copy outside of the part. The warehouse
 * keeps events from `keptFromMs` on.
 */
export function settle(
  tally: Tally,
  absent: readonly Absent[],
  { elsewhere, keptFromMs }: { readonly elsewhere: ReadonlySet<string>; readonly keptFromMs: number }
): void {
  for (const { key, partition, offset, eventId, isExcused, timestampMs } of absent)
    if (elsewhere.has(key)) tally.landed++
    else if (isExcused) tally.dead++
    else if (timestampMs < keptFromMs) tally.past++
    else note(tally.missing, { partition, offset, eventId })
}
