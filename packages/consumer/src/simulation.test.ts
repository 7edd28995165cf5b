// Random schedules of crashes, rebalances, dropped members, stops, slow and failing stores, lost replies and refused
// letters. Promises: nothing is lost, no commit is ahead of an effect or goes back, no two calls for one partition at
// once, no innocent record in the dead letters, no call after the stop; and a sink that owns its position applies every
// record exactly once. A failure names its seed: MILLRACE_SEED=<seed> replays it alone,
// MILLRACE_SCHEDULES=<n> runs more of them.
import { describe, expect, it } from 'vitest'
import { createRegistry } from '@millrace/observability'
import { Violation, simulate } from '../test/simulation.ts'
import type { Mode, Tally } from '../test/simulation.ts'

const registry = createRegistry()
const replayed = process.env['MILLRACE_SEED']
const schedules = Number(process.env['MILLRACE_SCHEDULES'] ?? 80)
const seeds = replayed === undefined ? Array.from({ length: schedules }, (_, seed) => seed) : [Number(replayed)]

describe.each<Mode>(['lane', 'process', 'owner'])('simulation, %s', (mode) => {
  it('keeps every promise in every schedule', { timeout: 60_000 }, async () => {
    const total: Partial<Tally> = {}
    for (const seed of seeds) {
      const tally = await simulate({ seed, mode, registry })
      for (const [name, count] of Object.entries(tally))
        total[name as keyof Tally] = (total[name as keyof Tally] ?? 0) + count
    }
    if (replayed !== undefined) return
    // The faults bit.
    const least = { records: 7_000, effects: 7_000, letters: 500, crashes: 150, stops: 150 }
    for (const [name, count] of Object.entries(least)) expect(total[name as keyof Tally], name).toBeGreaterThan(count)
    expect(total[mode === 'owner' ? 'rewinds' : 'repeats']).toBeGreaterThan(30)
  })
})

describe.each([
  ['consumer.commit-before-effect', 'lane', /ahead of the effect/],
  ['consumer.commit-before-effect', 'process', /ahead of the effect/],
  ['consumer.commit-past-gap', 'lane', /ahead of the effect/],
  ['consumer.ignore-epoch', 'lane', /went back|ahead of the effect/]
] as const)('simulation with the planted bug %s, %s', (bug, mode, complaint) => {
  it('turns red', { timeout: 60_000 }, async () => {
    const hunt = async (): Promise<void> => {
      for (const seed of seeds) await simulate({ seed, mode, registry, planted: new Set([bug]) })
    }
    const error: unknown = await hunt().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(Violation)
    expect(String(error)).toMatch(complaint)
  })
})
