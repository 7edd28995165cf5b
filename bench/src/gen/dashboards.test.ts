// What dashboards ask.
import { describe, expect, it } from 'vitest'
import { createDashboards, dashboardOf, panels, toBodies } from './dashboards.ts'

describe('dashboards', () => {
  it('ask different questions, each of its own', () => {
    const all = Array.from({ length: 50 }, (_, number) => dashboardOf(number)).flat()
    expect(new Set(all).size).toBe(50 * panels)
  })

  it('are opened whole, and the same ones for the same seed', () => {
    const [some, same, others] = [createDashboards(1, 50), createDashboards(1, 50), createDashboards(2, 50)]
    const asked = [...some(4), ...some(200)]
    expect(asked.slice(0, panels)).toEqual(dashboardOf(Number(/user-(\d+)%/.exec(asked[0] ?? '')?.[1])))
    expect(asked).toEqual(same(204))
    expect(asked).not.toEqual(others(204))
  })

  it('are a few all the time, and all of them now and then', () => {
    const firsts = createDashboards(1, 50)(panels * 5_000).filter((_, index) => index % panels === 0)
    const counts = dashboardsByUse(firsts)
    expect(counts.length).toBe(50)
    // Rank 1 of 50 by Zipf with 1.05: 23 % of all.
    expect((counts[0] ?? 0) / firsts.length).toBeCloseTo(0.23, 1)
  })

  it('are bodies of a request', () => {
    expect(toBodies(['SELECT 1']).map(String)).toEqual(['{"sql":"SELECT 1"}'])
  })
})

function dashboardsByUse(firsts: readonly string[]): readonly number[] {
  const counts = new Map<string, number>()
  for (const sql of firsts) counts.set(sql, (counts.get(sql) ?? 0) + 1)
  return [...counts.values()].toSorted((left, right) => right - left)
}
