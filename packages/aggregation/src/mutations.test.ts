// A check that cannot fail proves nothing: each rule of the protocol is taken away once, and an invariant must turn red.
import { describe, expect, it } from 'vitest'
import { explore } from '../test/model/explore.ts'
import { mutations } from '../test/model/mutations.ts'

describe('the exploration of the protocol', () => {
  for (const { bug, scenario, found, settles = true, maxWorlds = 15_000 } of mutations) {
    it(`finds it when ${bug}`, () => {
      const { wrong } = explore(scenario, { maxWorlds, settleEvery: settles ? 4 : Infinity })
      expect(found.split('|')).toContain(wrong.replace(/^epoch \d+: /, ''))
    }, 60_000)
  }
})
