import { describe, expect, it } from 'vitest'
import { guardTestDatabase } from './database-guard.ts'
import { createRandom } from './random.ts'
import { uniqueDatabase, uniqueProject } from './unique.ts'

describe('unique names', () => {
  it('are project ids, whatever the prefix, and never repeat', () => {
    const names = Array.from({ length: 1_000 }, () => uniqueProject('Loader kills & a very long tail of words'))
    for (const name of names) expect(name).toMatch(/^[a-z0-9][a-z0-9-]{0,38}$/)
    expect(new Set(names).size).toBe(1_000)
  })

  it('make databases that the guard lets pass', () => {
    const name = uniqueDatabase('scan')
    expect(guardTestDatabase(name)).toBe(name)
  })
})

describe('guardTestDatabase', () => {
  it.each(['test', 'millrace_test', 'test_1', 'postgres://u:p@127.0.0.1:1/my-test', 'http://h:1/?database=test_x'])(
    'lets %s pass',
    (name) => expect(guardTestDatabase(name)).toBe(name)
  )

  it.each(['millrace', 'latest', 'testimony', '', 'postgres://test:test@test:1/millrace', 'http://h:1/'])(
    'refuses %s',
    (name) => expect(() => guardTestDatabase(name)).toThrow(/refusing to touch/)
  )
})

describe('createRandom', () => {
  it('repeats its numbers for a seed and differs between seeds', () => {
    const take = (seed: number | string): number[] => Array.from({ length: 20 }, createRandom(seed))
    expect(take(7)).toEqual(take('7'))
    expect(take(7)).not.toEqual(take(8))
  })

  it('spreads evenly and picks every value', () => {
    const random = createRandom('spread')
    const picks = Array.from({ length: 4_000 }, () => random.pick(['a', 'b', 'c', 'd']))
    for (const value of ['a', 'b', 'c', 'd']) {
      expect(picks.filter((pick) => pick === value).length).toBeGreaterThan(850)
    }
    expect(Array.from({ length: 1_000 }, () => random.chance(0.1)).filter(Boolean).length).toBeLessThan(160)
    expect(() => random.pick([])).toThrow(RangeError)
  })
})
