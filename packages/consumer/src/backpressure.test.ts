import { expect, it } from 'vitest'
import { isFull } from './backpressure.ts'

const limits = { laneRows: 10, laneBytes: 1_000 }
const load = (rows: number, bytes: number) => ({ rows, bytes, oldestMs: 0, behind: false })

it('is full at its limits, and once paused until half is free', () => {
  expect([9, 10].map((rows) => isFull(load(rows, 0), limits, false, false))).toEqual([false, true])
  expect([999, 1_000].map((bytes) => isFull(load(1, bytes), limits, false, false))).toEqual([false, true])
  expect([6, 5].map((rows) => isFull(load(rows, 0), limits, true, false))).toEqual([true, false])
})

it('is full with anything in it while all lanes are over their budget', () => {
  expect(isFull(load(1, 1), limits, false, true)).toBe(true)
  expect(isFull(load(0, 0), limits, true, true)).toBe(false)
})
