import { describe, expect, it } from 'vitest'
import type { LaneLoad } from './lane.ts'
import { dueReason, pickLanes, wakeAtMs } from './flush-policy.ts'

const policy = { maxRows: 10, maxBytes: 1_000, maxAgeMs: 100, scope: 'lane' } as const
const calm = { stopping: false, overBudget: false }
const load = (rows: number, bytes: number, oldestMs: number, behind = false): LaneLoad => ({
  rows,
  bytes,
  oldestMs,
  behind
})
const empty = load(0, 0, Infinity)

describe('the reason to flush', () => {
  it.each([
    ['nothing buffered', empty, undefined],
    ['below every limit', load(9, 999, 0), undefined],
    ['rows', load(10, 1, 99), 'rows'],
    ['bytes', load(1, 1_000, 99), 'bytes'],
    ['age', load(1, 1, -1), 'age']
  ] as const)('%s', (_name, one, reason) => {
    expect(dueReason(one, policy, 99, false)).toBe(reason)
  })

  it('is the stop when nothing else is', () => {
    expect(dueReason(load(1, 1, 0), policy, 0, true)).toBe('stop')
    expect(dueReason(empty, policy, 0, true)).toBeUndefined()
  })
})

describe('the lanes of the next batch', () => {
  it('are the due one with the oldest record', () => {
    const loads = [load(10, 1, 50), empty, load(1, 1, -10), load(5, 5, 0)]
    expect(pickLanes(loads, policy, 90, calm)).toEqual({ lanes: [2], reason: 'age' })
  })

  it('are the largest when the common budget is spent and none is due', () => {
    const loads = [load(1, 10, 0), load(1, 20, 0)]
    expect(pickLanes(loads, policy, 0, calm)).toBeUndefined()
    expect(pickLanes(loads, policy, 0, { stopping: false, overBudget: true })).toEqual({
      lanes: [1],
      reason: 'pressure'
    })
  })

  it('are all that hold records, by their sum, with the scope process', () => {
    const loads = [load(5, 1, 50), empty, load(5, 1, 60)]
    expect(pickLanes(loads, { ...policy, scope: 'process' }, 60, calm)).toEqual({ lanes: [0, 2], reason: 'rows' })
    expect(pickLanes([load(5, 1, 50)], { ...policy, scope: 'process' }, 60, calm)).toBeUndefined()
  })
})

it('lets a partition that is behind fill for longer', () => {
  const patient = { ...policy, behindAgeMs: 500 }
  expect(dueReason(load(1, 1, 0, true), patient, 499, false)).toBeUndefined()
  expect(dueReason(load(1, 1, 0, true), patient, 500, false)).toBe('age')
  expect(dueReason(load(1, 1, 0), patient, 100, false)).toBe('age')
  expect(dueReason(load(1, 1, 0, true), policy, 100, false)).toBe('age')
  expect(wakeAtMs([load(1, 1, 0, true), load(1, 1, 300)], patient)).toBe(400)
  expect(wakeAtMs([load(1, 1, 0, true), load(1, 1, 300)], { ...patient, scope: 'process' })).toBe(500)
})

it('is due by age when the oldest record of all is', () => {
  expect(wakeAtMs([load(1, 1, 30), empty, load(1, 1, 20)], policy)).toBe(120)
  expect(wakeAtMs([empty], policy)).toBe(Infinity)
})
