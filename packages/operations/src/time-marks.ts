// When the record at a position was appended, told from when the end of its partition was seen where: a sample every ten
// seconds places a record to ten seconds without reading it. What was appended before the first sample is read once.

/** A place in time. `spanMs`: how far off `atMs` may be; Infinity when it is only the latest possible time. */
export interface MarkedTime {
  readonly atMs: number
  readonly spanMs: number
}

/** Marks of one partition. */
export interface TimeMarks {
  /** The end of the log was `offset` at `atMs`. An end below the last one is another log: all marks go. */
  ended(offset: bigint, atMs: number): void
  /** The record at `offset` was read, and appended at `appendedAtMs`. */
  read(offset: bigint, appendedAtMs: number): void
  /** When the record at `position` was appended; undefined without marks. For positions below the last end. */
  at(position: bigint): MarkedTime | undefined
  /** Nobody will ask for positions below `position`. */
  forget(position: bigint): void
  readonly size: () => number
}

interface Mark {
  readonly offset: bigint
  /** The record before `offset` was appended by then, the one at `offset` not before. */
  atMs: number
  /** It is the very time of the record. */
  isRead: boolean
}

/** From here on marks are thinned out, so that what is between two of them stays a twentieth of their age. */
const thinAbove = 128
const relativeGap = 0.05

/** Empty marks. They stay below some 300, however long the partition is sampled. */
export function createTimeMarks(): TimeMarks {
  let marks: Mark[] = []
  let thinFrom = thinAbove
  return {
    ended(offset, atMs) {
      const last = marks.at(-1)
      if (last !== undefined && offset < last.offset) marks = []
      if (last?.offset === offset && marks.length > 0) {
        // Nothing came since: the record at `offset` is younger than this look.
        last.atMs = atMs
        return
      }
      marks.push({ offset, atMs, isRead: false })
      if (marks.length <= thinFrom) return
      marks = thinned(marks, atMs)
      thinFrom = Math.max(thinAbove, marks.length + (marks.length >> 2))
    },
    read(offset, atMs) {
      const place = lastAtOrBelow(marks, offset)
      const found = marks[place]
      if (found?.offset === offset) Object.assign(found, { atMs, isRead: true })
      else marks.splice(place + 1, 0, { offset, atMs, isRead: true })
    },
    at(position) {
      const first = marks[0]
      if (first === undefined) return undefined
      const place = lastAtOrBelow(marks, position)
      const below = marks[place]
      if (below === undefined) return { atMs: first.atMs, spanMs: Number.POSITIVE_INFINITY }
      if (below.isRead && below.offset === position) return { atMs: below.atMs, spanMs: 0 }
      const above = marks[place + 1]
      if (above === undefined) return { atMs: below.atMs, spanMs: 0 }
      const spanMs = Math.max(0, above.atMs - below.atMs)
      const share = Number(position - below.offset) / Number(above.offset - below.offset)
      return { atMs: below.atMs + share * spanMs, spanMs }
    },
    forget(position) {
      const place = lastAtOrBelow(marks, position)
      if (place > 0) marks.splice(0, place)
    },
    size: () => marks.length
  }
}

/** Index of the last mark at or below `offset`; -1 when all are above. */
function lastAtOrBelow(marks: readonly Mark[], offset: bigint): number {
  let low = 0
  let high = marks.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (marks[middle]!.offset <= offset) low = middle + 1
    else high = middle
  }
  return low - 1
}

function thinned(marks: readonly Mark[], nowMs: number): Mark[] {
  const kept: Mark[] = []
  for (const [index, mark] of marks.entries()) {
    const [before, after] = [kept.at(-1), marks[index + 1]]
    const isNeeded =
      before === undefined || after === undefined || after.atMs - before.atMs > relativeGap * (nowMs - after.atMs)
    if (isNeeded) kept.push(mark)
  }
  return kept
}
