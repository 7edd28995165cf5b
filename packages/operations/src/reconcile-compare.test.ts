import { expect, test } from 'vitest'
import { compareClass, createTally, settle, toLogLine, toShownLine } from './reconcile-compare.ts'
import type { Tally } from './reconcile-compare.ts'
import { eventKey } from './reconcile-warehouse.ts'

const hourMs = 3_600_000
const atMs = 500_000 * hourMs

/** A record of partition 0, on time unless it is said to be late. */
interface Written {
  readonly id: string
  readonly offset: number
  readonly late?: boolean
}

interface Case {
  readonly log: readonly Written[]
  /** Ids of rows in the part, and of rows elsewhere. */
  readonly rows?: readonly string[]
  readonly elsewhere?: readonly string[]
  /** Offsets of records whose letter is not closed, and of those that the live state may have skipped. */
  readonly excused?: readonly number[]
  readonly uncounted?: readonly number[]
  readonly isView?: boolean
  readonly keptFromMs?: number
}

const keyOf = (id: string): string => eventKey('view', atMs, id)

function compared({
  log,
  rows = [],
  elsewhere = [],
  excused = [],
  uncounted = [],
  isView = true,
  keptFromMs = 0
}: Case): Tally {
  const tally = createTally()
  const logged = log.map(({ id, offset, late = false }) =>
    toLogLine({
      key: keyOf(id),
      eventId: id,
      partition: 0,
      offset: BigInt(offset),
      isOnTime: !late,
      timestampMs: atMs + 5
    })
  )
  const shown = rows.map((id, index) => toShownLine(keyOf(id), 0, String(index)))
  const absent = compareClass(
    tally,
    { logged, shown, isView },
    {
      isExcused: ({ offset }) => excused.includes(Number(offset)),
      isUncounted: ({ offset }) => uncounted.includes(Number(offset))
    }
  )
  settle(tally, absent, { elsewhere: new Set(elsewhere.map(keyOf)), keptFromMs })
  return tally
}

const missingOf = ({ missing }: Tally): readonly (string | undefined)[] =>
  missing.examples.map(({ eventId }) => eventId)

test('every different event is shown, or shown elsewhere, or has a letter, else it is missing by name', () => {
  const log = ['shown', 'before', 'dead', 'lost'].map((id, offset) => ({ id, offset }))
  const tally = compared({ log, rows: ['shown'], elsewhere: ['before'], excused: [2] })
  expect(tally).toMatchObject({
    events: 4,
    copies: 0,
    landed: 2,
    dead: 1,
    missing: { count: 1, examples: [{ partition: 0, offset: 3n, eventId: 'lost' }] },
    extra: { count: 0 },
    repeated: { count: 0 }
  })
})

test('an event that became one by a better version is dead while its letter is open, and lost when that is closed without a row', () => {
  const log = [{ id: 'mended', offset: 5 }]
  expect(compared({ log, excused: [5] })).toMatchObject({ landed: 0, dead: 1, missing: { count: 0 } })
  expect(missingOf(compared({ log }))).toEqual(['mended'])
  expect(compared({ log, rows: ['mended'], excused: [5] })).toMatchObject({ landed: 1, dead: 0 })
})

test('an event of several records is shown by the row of any of them, and excused only by a letter of each', () => {
  const log = [
    { id: 'twice', offset: 5 },
    { id: 'twice', offset: 9 }
  ]
  expect(compared({ log, rows: ['twice'], excused: [5] })).toMatchObject({ copies: 1, landed: 1, dead: 0 })
  expect(compared({ log, elsewhere: ['twice'], excused: [5] })).toMatchObject({ landed: 1, dead: 0 })
  expect(compared({ log, excused: [5, 9] })).toMatchObject({ events: 1, dead: 1, missing: { count: 0 } })
  for (const excused of [[5], [9]]) expect(missingOf(compared({ log, excused }))).toEqual(['twice'])
})

test('an event that is older than what the warehouse keeps may be gone from it', () => {
  const log = ['there', 'elsewhere', 'dead', 'gone'].map((id, offset) => ({ id, offset }))
  const given = { log, rows: ['there'], elsewhere: ['elsewhere'], excused: [2] }
  expect(compared({ ...given, keptFromMs: atMs + 6 })).toMatchObject({
    landed: 2,
    dead: 1,
    past: 1,
    missing: { count: 0 }
  })
  expect(compared({ ...given, keptFromMs: atMs + 5 })).toMatchObject({
    landed: 2,
    dead: 1,
    past: 0,
    missing: { count: 1 }
  })
})

test('rows of no event of the log are extra, and several rows of one event are repeated in the view alone', () => {
  const log = [{ id: 'e', offset: 0 }]
  expect(compared({ log, rows: ['e', 'e', 'stranger'] })).toMatchObject({
    extra: { count: 1, examples: [{ offset: 2n, eventId: undefined }] },
    repeated: { count: 1, examples: [{ offset: 1n, eventId: 'e' }] }
  })
  expect(compared({ log, rows: ['e', 'e'], isView: false })).toMatchObject({ landed: 1, repeated: { count: 0 } })
})

test('an hour has all events that came on time, and surely those that the live state had no reason to skip', () => {
  const hourOf = (given: Omit<Case, 'rows'>) => compared(given).hours.get(atMs)
  const log = [
    { id: 'a', offset: 0 },
    { id: 'b', offset: 1 },
    { id: 'late', offset: 2, late: true }
  ]
  expect(hourOf({ log })).toEqual({ least: 2, most: 2 })
  expect(hourOf({ log, uncounted: [1] })).toEqual({ least: 1, most: 2 })
  const copied = [...log, { id: 'b', offset: 3 }, { id: 'late', offset: 4 }]
  expect(hourOf({ log: copied, uncounted: [1] })).toEqual({ least: 3, most: 3 })
  expect(hourOf({ log: copied, uncounted: [1, 3, 4] })).toEqual({ least: 1, most: 3 })
  const lateCopy = [...log, { id: 'b', offset: 3, late: true }]
  expect(hourOf({ log: lateCopy, uncounted: [1] })).toEqual({ least: 1, most: 2 })
})

test('names the first twenty of what is missing and counts them all', () => {
  const { missing } = compared({ log: Array.from({ length: 30 }, (_, offset) => ({ id: `e${offset}`, offset })) })
  expect([missing.count, missing.examples.length, missing.examples[19]?.eventId]).toEqual([30, 20, 'e19'])
})
