import { describe, expect, it } from 'vitest'
import { runInterleaved, usage } from './harness.ts'
import type { Sample, Variant } from './harness.ts'
import type { ProcessTimes } from './proc.ts'

const process = (pid: number, parent: number, cpuMs: number): [number, ProcessTimes] => [
  pid,
  { pid, parent, cpuMs, startedAt: 0, rssBytes: 1_000 }
]

const sampleOf = (atMs: number, busyMs: number, stealMs: number, processes: [number, ProcessTimes][]): Sample => ({
  atMs,
  machine: { busyMs, stealMs, totalMs: atMs * 2 },
  processes: new Map(processes)
})

describe('usage', () => {
  it('counts the tree of the system under test, and tells own from foreign load', () => {
    // 1 = harness, 2 = system under test with a child 3, 4 = store, 9 = somebody else; two CPUs, one second.
    const before = sampleOf(1_000, 500, 0, [process(1, 0, 10), process(2, 1, 20), process(3, 2, 30), process(4, 1, 40)])
    const after = sampleOf(2_000, 1_700, 100, [
      process(1, 0, 110),
      process(2, 1, 320),
      process(3, 2, 130),
      process(4, 1, 240),
      process(9, 0, 5_000)
    ])
    expect(usage(before, after, [2], [1])).toEqual({
      elapsedMs: 1_000,
      cpuMs: 400,
      rssBytes: 2_000,
      foreignShare: (1_200 - 700) / 2_000,
      stealShare: 0.05
    })
  })

  it('takes own load that is ahead of the machine for none', () => {
    const before = sampleOf(1_000, 0, 0, [process(1, 0, 0)])
    const after = sampleOf(2_000, 100, 0, [process(1, 0, 110)])
    expect(usage(before, after, [1], [1]).foreignShare).toBe(0)
  })
})

describe('runInterleaved', () => {
  const setup = () => {
    const driven: string[] = []
    const variant = (name: string): Variant => ({
      name,
      pids: () => [1],
      drive: async (ms) => {
        driven.push(`${name} ${ms}`)
        return { events: driven.length, failures: 0, latencyMs: { p50: 1, p99: 2 } }
      }
    })
    const numbers = [0.9, 0.1, 0.2, 0.8, 0.7, 0.3]
    let next = 0
    const random = (): number => numbers[next++ % numbers.length] ?? 0
    const sample = (): Sample => sampleOf(1_000, 0, 0, [])
    const options = { rounds: 2, windowMs: 100, warmUpMs: 50, random, sample, ownPids: () => [1] }
    return { driven, options, variants: [variant('a'), variant('b')] }
  }

  it('warms up, then measures every variant once a round in an order drawn for each round', async () => {
    const { driven, options, variants } = setup()
    await runInterleaved(variants, options)
    expect(driven).toEqual(['a 50', 'b 50', 'b 100', 'a 100', 'a 100', 'b 100', 'b 100', 'a 100'])
  })

  it('keeps the rounds in order and drops the first', async () => {
    const { options, variants } = setup()
    const seen: string[] = []
    const onWindow = (round: number, name: string): void => void seen.push(`${round}${name}`)
    const windows = await runInterleaved(variants, { ...options, onWindow })
    expect(windows.get('a')?.map(({ events }) => events)).toEqual([5, 8])
    expect(windows.get('b')?.map(({ events }) => events)).toEqual([6, 7])
    expect(seen).toEqual(['0b', '0a', '1a', '1b', '2b', '2a'])
  })
})
