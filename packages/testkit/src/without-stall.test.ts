import { systemClock } from '@millrace/kernel'
import { expect, test } from 'vitest'
import { withoutStall } from './without-stall.ts'

const moment = (): Promise<void> => systemClock.sleep(30)

function stall(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

test('a run in which the process stood still is done again', async () => {
  let runs = 0
  const result = await withoutStall(150, async () => {
    await moment()
    if (runs++ === 0) stall(250)
    await moment()
    return runs
  })
  expect(result).toBe(2)
})

test('the third run is the last one', async () => {
  let runs = 0
  const result = await withoutStall(50, async () => {
    await moment()
    stall(100)
    await moment()
    return ++runs
  })
  expect([result, runs]).toEqual([3, 3])
})
