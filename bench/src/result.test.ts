import { describe, expect, it } from 'vitest'
import type { Window } from './harness.ts'
import type { Environment } from './machine.ts'
import { toResult } from './result.ts'
import { toMarkdown, toTable } from './report.ts'

const environment: Environment = {
  date: '2026-03-01T00:00:00.000Z',
  commit: 'abc',
  dirty: false,
  cpu: 'a CPU',
  cpus: 2,
  memoryGiB: 24,
  kernel: '6',
  arch: 'x64',
  node: 'v24',
  loadBefore: [0, 0, 0]
}

const window = (events: number, cpuMs: number, more: Partial<Window> = {}): Window => ({
  events,
  failures: 0,
  latencyMs: { p50: 1, p99: 2 },
  elapsedMs: 2_000,
  cpuMs,
  rssBytes: 100 * 1024 ** 2,
  foreignShare: 0.02,
  stealShare: 0,
  ...more
})

const described = {
  name: 'g-single',
  environment,
  versions: { kafka: '4.3.1' },
  settings: { rounds: 3 },
  comparisons: [{ variant: 'gateway', reference: 'raw', goal: 0.75, floor: 0.55 }],
  minRounds: 3
}

const windowsOf = (gateway: Window[], raw: Window[]) =>
  new Map([
    ['gateway', gateway],
    ['raw', raw]
  ])
const quietRaw = [window(1_000, 100), window(1_000, 100), window(1_000, 100)]

describe('findings and speed', () => {
  it('judges a figure by the goal and the ceiling, and compares by the clock when asked', () => {
    const finding = (value: number) => ({ name: 'RSS', value, unit: 'MiB', goal: 300, ceiling: 512 })
    const findings = [
      finding(300),
      finding(301),
      finding(513),
      finding(Number.NaN),
      { name: 'p50', value: 3, unit: 'ms' }
    ]
    const by = 'speed' as const
    const comparisons = [{ variant: 'gateway', reference: 'raw', by, goal: 2, floor: 1 }]
    const gateway = [1, 2, 3].map(() => window(500, 1, { elapsedMs: 500 }))
    const result = toResult({ ...described, comparisons, findings }, windowsOf(gateway, quietRaw))
    expect(result.findings.map(({ verdict }) => verdict)).toEqual([
      'goal reached',
      'above the floor',
      'below the floor',
      'below the floor',
      'told'
    ])
    expect(result.comparisons[0]).toMatchObject({ ratio: { median: 2 }, verdict: 'goal reached' })
    expect(toMarkdown(result)).toContain('RSS: 301 MiB, goal at most 300, never above 512: above the floor')
  })
})

describe('toResult', () => {
  it('gives the median ratio of events per CPU second and judges it', () => {
    const gateway = [window(500, 100), window(1_250, 200), window(750, 100)]
    const result = toResult(described, windowsOf(gateway, quietRaw))
    expect(result.comparisons[0]?.ratio).toEqual({ count: 3, q1: 0.5625, median: 0.625, q3: 0.6875 })
    expect(result.comparisons[0]?.verdict).toBe('above the floor')
    expect(result.variants[0]?.cpuUsPerEvent.median).toBe(160)
    expect(result.variants[0]?.eventsPerSecond.median).toBe(375)
    expect({ published: result.published, reservations: result.reservations }).toEqual({
      published: true,
      reservations: []
    })
  })

  it.each([
    ['goal reached', 750],
    ['above the floor', 749],
    ['above the floor', 550],
    ['below the floor', 549]
  ])('says %s at %i of 1,000', (verdict, events) => {
    const gateway = Array.from({ length: 3 }, () => window(events, 100))
    expect(toResult(described, windowsOf(gateway, quietRaw)).comparisons[0]?.verdict).toBe(verdict)
  })

  it('is not published from a busy machine, with failures, too few rounds or a changed tree, and says why', () => {
    const gateway = [window(600, 100, { foreignShare: 0.5, stealShare: 0.3 }), window(600, 100, { failures: 2 })]
    const description = { ...described, environment: { ...environment, dirty: true } }
    const result = toResult(description, windowsOf(gateway, quietRaw.slice(0, 2)))
    expect(result.published).toBe(false)
    expect(result.reservations).toEqual([
      'foreign load took 14 % of the machine, more than 10 %',
      'gateway: 2 failed requests',
      'gateway: 2 rounds, fewer than 3',
      'raw: 2 rounds, fewer than 3',
      'the working tree had changes'
    ])
  })
})

describe('the report', () => {
  const result = toResult(described, windowsOf(quietRaw, quietRaw))

  it('aligns its table', () => {
    expect(toTable(result)).toBe(
      [
        'variant     CPU us/event    quartiles  events/CPU-s  events/s  p50 ms  p99 ms  RSS MiB',
        'gateway            100.0  100.0-100.0         10000       500     1.0     2.0      100',
        'raw                100.0  100.0-100.0         10000       500     1.0     2.0      100',
        '',
        'gateway / raw, events per CPU second: 1.00 (quartiles 1.00-1.00), goal 0.75, floor 0.55: goal reached',
        'published: yes'
      ].join('\n')
    )
  })

  it('says in its document that a disturbed run is not published', () => {
    const disturbed = { ...result, published: false, reservations: ['foreign load took 40 %'] }
    expect(toMarkdown(result)).toContain('| gateway | 100.0 |')
    expect(toMarkdown(result)).not.toContain('Not published')
    expect(toMarkdown(disturbed)).toContain('**Not published**: foreign load took 40 %.')
  })
})
