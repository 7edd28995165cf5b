import { describe, expect, test } from 'vitest'
import { createTimeMarks } from './time-marks.ts'

describe('time marks', () => {
  test('place a record between two looks at the end of the log', () => {
    const marks = createTimeMarks()
    marks.ended(100n, 10_000)
    marks.ended(200n, 20_000)
    marks.ended(600n, 30_000)
    expect(marks.at(150n)).toEqual({ atMs: 15_000, spanMs: 10_000 })
    expect(marks.at(300n)).toEqual({ atMs: 22_500, spanMs: 10_000 })
  })

  test('take the last look without news as the time before the next record', () => {
    const marks = createTimeMarks()
    for (let atMs = 0; atMs <= 3_600_000; atMs += 10_000) marks.ended(100n, atMs)
    marks.ended(110n, 3_610_000)
    expect(marks.size()).toBe(2)
    expect(marks.at(100n)).toEqual({ atMs: 3_600_000, spanMs: 10_000 })
  })

  test('know of what is older than the first look only that it is older, until it was read', () => {
    const marks = createTimeMarks()
    marks.ended(1_000n, 50_000)
    expect(marks.at(400n)).toEqual({ atMs: 50_000, spanMs: Number.POSITIVE_INFINITY })
    marks.read(400n, 20_000)
    expect(marks.at(400n)).toEqual({ atMs: 20_000, spanMs: 0 })
    expect(marks.at(700n)).toEqual({ atMs: 35_000, spanMs: 30_000 })
    expect(marks.at(399n)?.spanMs).toBe(Number.POSITIVE_INFINITY)
  })

  test('stay few and within a twentieth of the age over a month', () => {
    const marks = createTimeMarks()
    const perSample = 1_000n
    let sampled = 0n
    for (let atMs = 0; atMs <= 30 * 86_400_000; atMs += 10_000) marks.ended((sampled += perSample), atMs)
    expect(marks.size()).toBeLessThan(400)
    const nowMs = 30 * 86_400_000
    for (const ageMs of [60_000, 3_600_000, 86_400_000, 7 * 86_400_000]) {
      const position = sampled - perSample * BigInt(ageMs / 10_000)
      const { atMs = 0, spanMs = 0 } = marks.at(position) ?? {}
      expect(Math.abs(nowMs - ageMs - atMs)).toBeLessThanOrEqual(Math.max(10_000, spanMs))
      expect(spanMs).toBeLessThanOrEqual(Math.max(20_000, 0.06 * ageMs))
    }
  })

  test('begin anew with another log, and forget what nobody asks for', () => {
    const marks = createTimeMarks()
    for (const [offset, atMs] of [
      [10n, 1],
      [20n, 2],
      [30n, 3]
    ] as const)
      marks.ended(offset, atMs)
    marks.forget(25n)
    expect(marks.size()).toBe(2)
    expect(marks.at(25n)).toEqual({ atMs: 2.5, spanMs: 1 })
    marks.ended(5n, 4)
    expect(marks.size()).toBe(1)
  })
})
