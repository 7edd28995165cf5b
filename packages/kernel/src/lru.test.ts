import { expect, it } from 'vitest'
import { createLru } from './lru.ts'

it('drops what was not used for long, and keeps what was', () => {
  const lru = createLru<string, number>(4)
  lru.set('used', 1)
  for (let round = 0; round < 10; round++) {
    lru.set(`once ${round}`, round)
    expect(lru.get('used')).toBe(1)
  }
  expect(lru.get('once 0')).toBeUndefined()
  expect(lru.get('once 9')).toBe(9)
})

it.each([2, 3, 8, 9])('holds at most %i keys, and the half that was used last', (limit) => {
  const lru = createLru<number, string>(limit)
  const used: number[] = []
  for (let step = 0; step < 2_000; step++) {
    const key = (step * step * 7 + step) % 23
    const found = lru.get(key)
    if (used.slice(-(limit >> 1)).includes(key)) expect(found).toBe(String(key))
    if (found === undefined) lru.set(key, String(key))
    if (used.includes(key)) used.splice(used.indexOf(key), 1)
    used.push(key)
    expect(lru.size()).toBeLessThanOrEqual(limit)
  }
})
