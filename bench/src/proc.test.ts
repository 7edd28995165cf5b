import { describe, expect, it } from 'vitest'
import { parseMachine, parseProcess, treeCpuMs, treeOf } from './proc.ts'
import type { ProcessTimes } from './proc.ts'

const units = { ticksPerSecond: 100, pageBytes: 4_096 }

describe('parseProcess', () => {
  it('adds user and system time and that of children which ended', () => {
    const stat = '42 (node) S 7 42 42 0 -1 4194560 100 0 0 0 30 12 5 3 20 0 11 0 9876 1000000 250 18446744073709551615'
    expect(parseProcess(stat, units)).toEqual({
      pid: 42,
      parent: 7,
      cpuMs: 500,
      startedAt: 9876,
      rssBytes: 250 * 4_096
    })
  })

  it('reads past a name with spaces and brackets', () => {
    const stat = '9 (a) S 1 (b c) R 3 9 9 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 5 0 1 0'
    expect(parseProcess(stat, units)).toMatchObject({ pid: 9, parent: 3, cpuMs: 20, startedAt: 5 })
  })

  it('is undefined for anything else', () => {
    expect(parseProcess('', units)).toBeUndefined()
    expect(parseProcess('12 (x) S', units)).toBeUndefined()
  })
})

describe('parseMachine', () => {
  it('tells busy, stolen and all time apart and does not count guests twice', () => {
    const stat = 'cpu  100 10 50 800 20 3 7 10 40 4\ncpu0 1 1 1 1 1 1 1 1 0 0\n'
    expect(parseMachine(stat, units)).toEqual({ busyMs: 1_700, stealMs: 100, totalMs: 10_000 })
  })
})

describe('treeCpuMs', () => {
  const process = (pid: number, parent: number, cpuMs: number): ProcessTimes => ({
    pid,
    parent,
    cpuMs,
    startedAt: 0,
    rssBytes: 0
  })
  const processes = new Map(
    [process(1, 0, 1_000), process(10, 1, 5), process(11, 10, 7), process(12, 11, 11), process(20, 1, 100)].map(
      (each) => [each.pid, each]
    )
  )

  it('adds a process and everything below it, and nothing else', () => {
    expect(treeCpuMs([10], processes)).toBe(23)
  })

  it('counts a process once when two roots reach it', () => {
    expect(treeCpuMs([10, 11], processes)).toBe(23)
    expect(
      treeOf([12, 20], processes)
        .map(({ pid }) => pid)
        .sort()
    ).toEqual([12, 20])
  })

  it('ignores a root that is gone', () => {
    expect(treeCpuMs([99], processes)).toBe(0)
  })
})
