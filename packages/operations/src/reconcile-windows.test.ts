import { expect, test } from 'vitest'
import { totalDimension } from '@millrace/aggregation/windows'
import type { WindowsDeps } from './reconcile-windows.ts'
import { compareWindows } from './reconcile-windows.ts'
import { createManualClock } from '@millrace/kernel'

const hourMs = 3_600_000
const latenessMs = 60_000
const clock = createManualClock()
const hour = clock.now() - (clock.now() % hourMs) - 5 * hourMs

/** A closed hour of the live state with so many events; undefined: there is none. */
function live(
  count: number | undefined,
  { completeFromMs = 0, clockMs = clock.now() }: Partial<State> = {}
): WindowsDeps {
  const window = { startMs: hour, closed: true, values: new Map([[totalDimension, { count }]]) }
  const windows = new Map(count === undefined ? [] : [['w', window]])
  const read = async () => ({ windows, completeFromMs, clockMs })
  // What the comparison asks of a reader.
  return { reader: { read } as unknown as WindowsDeps['reader'], clock, latenessMs }
}

interface State {
  readonly completeFromMs: number
  readonly clockMs: number
}

interface Log {
  readonly start: bigint
  /** Append times of the records from `start` on. */
  readonly times: readonly number[]
  /** Compared from here on; the oldest record that was read was appended at `firstMs`. */
  readonly from: bigint
  readonly firstMs?: number
}

interface Counts {
  readonly found: number | undefined
  readonly least?: number
  readonly most: number
  /** Start of the hour. */
  readonly at?: number
}

async function compared(counts: Counts, { start, times, from, firstMs }: Log, state: Partial<State> = {}) {
  const end = start + BigInt(times.length)
  const offsetsAt = async (_topic: string, atMs: number) => {
    const index = times.findIndex((time) => time >= atMs)
    return new Map([[0, index < 0 ? end : start + BigInt(index)]])
  }
  return await compareWindows(
    live(counts.found, state),
    { offsetsAt },
    {
      projectId: 'a',
      topic: 'events.a',
      parts: [{ partition: 0, from, to: end }],
      log: new Map([[0, { topic: 'events.a', partition: 0, start, end }]]),
      firstMs: new Map(firstMs === undefined ? [] : [[0, firstMs]])
    },
    new Map([[counts.at ?? hour, { least: counts.least ?? counts.most, most: counts.most }]])
  )
}

const times = [-2, -1, 0.5, 2].map((hours) => hour + hours * hourMs)
const whole: Log = { start: 0n, times, from: 0n }

test('an hour has as many events as the log, or fewer by those that were no events when they were counted', async () => {
  expect(await compared({ found: 3, most: 3 }, whole)).toEqual({ compared: 1, wrong: [] })
  expect(await compared({ found: 2, most: 3 }, whole)).toEqual({
    compared: 1,
    wrong: [{ hourMs: hour, expected: 3, found: 2 }]
  })
  for (const found of [2, 3]) expect((await compared({ found, least: 2, most: 3 }, whole)).wrong).toEqual([])
  for (const found of [1, 4]) expect((await compared({ found, least: 2, most: 3 }, whole)).wrong).toHaveLength(1)
})

test('an hour whose beginning was not compared is left out', async () => {
  expect((await compared({ found: 3, most: 2 }, { ...whole, from: 3n })).compared).toBe(0)
  expect((await compared({ found: 2, most: 2 }, { ...whole, from: 2n })).compared).toBe(1)
})

test('an hour whose beginning retention took is left out, unless it was read from the archive', async () => {
  const cut = { start: 12n, times: times.slice(2) }
  const [, , inHour = 0] = times
  expect((await compared({ found: 3, most: 2 }, { ...cut, from: 12n, firstMs: inHour })).compared).toBe(0)
  const before = hour - hourMs
  expect((await compared({ found: 2, most: 2 }, { ...cut, from: 5n, firstMs: before })).compared).toBe(1)
  expect((await compared({ found: 2, most: 2 }, { ...cut, from: 11n, firstMs: inHour })).compared).toBe(0)
})

test('an hour that the live state does not know at all has no events', async () => {
  const lost = { found: undefined, most: 3 }
  expect(await compared(lost, whole)).toEqual({ compared: 1, wrong: [{ hourMs: hour, expected: 3, found: 0 }] })
  // It may have skipped all of them.
  expect(await compared({ ...lost, least: 0 }, whole)).toEqual({ compared: 1, wrong: [] })
  const none = { compared: 0, wrong: [] }
  expect(await compared(lost, { ...whole, from: 3n })).toEqual(none)
  // Not closed yet, not seen from its beginning, or deleted by now.
  expect(await compared(lost, whole, { clockMs: hour + hourMs + latenessMs - 1 })).toEqual(none)
  expect(await compared(lost, whole, { clockMs: -1 })).toEqual(none)
  expect(await compared(lost, whole, { completeFromMs: hour + 1 })).toEqual(none)
  const older = hour - 24 * hourMs
  expect(await compared({ ...lost, at: older }, whole)).toEqual(none)
  expect(await compared({ ...lost, at: older }, whole, { clockMs: older + 3 * hourMs })).toEqual(none)
})
