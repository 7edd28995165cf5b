import { systemClock } from '@millrace/kernel'
import { expect, test } from 'vitest'
import { onlyRestedTooLong, withoutStall } from './without-stall.ts'

const moment = (): Promise<void> => systemClock.sleep(30)

function stall(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

test('a run in which the process stood still is done again, and its result is told', async () => {
  let runs = 0
  const told: string[] = []
  const stalls = { limitMs: 150, explained: () => true, log: (line: string) => void told.push(line) }
  const result = await withoutStall(stalls, async () => {
    await moment()
    if (runs++ === 0) stall(250)
    await moment()
    return { runs }
  })
  expect(result).toEqual({ runs: 2 })
  expect(told).toEqual([expect.stringMatching(/^run 1 does not count, .* for \d+ ms: \{"runs":1\}$/)])
})

test('a result that no stall explains counts', async () => {
  let runs = 0
  const result = await withoutStall({ limitMs: 50, explained: () => false }, async () => {
    await moment()
    stall(100)
    await moment()
    return ++runs
  })
  expect([result, runs]).toEqual([1, 1])
})

test('the third run is the last one', async () => {
  let runs = 0
  const result = await withoutStall({ limitMs: 50, explained: () => true, log: () => {} }, async () => {
    await moment()
    stall(100)
    await moment()
    return ++runs
  })
  expect([result, runs]).toEqual([3, 3])
})

test('a stall explains connections that were closed, and no answer of the server', () => {
  const seen = { 202: 1_000, ECONNREFUSED: 64 }
  const expected = Object.keys(seen)
  expect(onlyRestedTooLong({ ...seen, ECONNRESET: 3, EPIPE: 1 }, expected)).toBe(true)
  expect(onlyRestedTooLong({ ...seen, ECONNRESET: 3, 503: 1 }, expected)).toBe(false)
  expect(onlyRestedTooLong({ ...seen, ETIMEDOUT: 1 }, expected)).toBe(false)
})
