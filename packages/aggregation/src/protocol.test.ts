// The protocol, explored: every world that a small history can lead to under kills, duplicates, redelivery, zombies,
// rollback and loss of Redis, torn scripts, rebuilds, growth, retention and recreation. A wrong prints its shortest way.
import { describe, expect, it } from 'vitest'
import { explore, wander } from '../test/model/explore.ts'
import { randomScenario } from '../test/model/random-scenario.ts'
import { cases } from '../test/model/cases.ts'

/** They compute and wait for nothing: seconds on a quiet machine, more on one that builds something else. */
const patienceMs = 60_000

describe('the aggregation protocol', () => {
  for (const { name, scenario, complete } of cases) {
    it(
      `holds every invariant ${name}`,
      () => {
        const {
          wrong,
          trace,
          worlds,
          complete: exhausted
        } = explore(scenario, { maxWorlds: complete ? 60_000 : 5_000 })
        expect({ wrong, trace }).toEqual({ wrong: '', trace: '' })
        expect(exhausted).toBe(complete)
        expect(worlds).toBeGreaterThan(100)
      },
      patienceMs
    )
  }

  it(
    'holds every invariant on random histories with all faults at once',
    () => {
      for (let seed = 1; seed <= 100; seed++) {
        const { wrong, trace } = wander(randomScenario(seed), seed)
        expect({ seed, wrong, trace: wrong === '' ? '' : trace }).toEqual({ seed, wrong: '', trace: '' })
      }
    },
    patienceMs
  )
})
