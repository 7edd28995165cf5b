import { expect, it } from 'vitest'
import { createLru } from './lru.ts'

it('keeps the keys that were used last, up to its limit', () => {
  const lru = createLru<string, number>(2)
  lru.set('a', 1)
  lru.set('b', 2)
  expect(lru.get('a')).toBe(1)
  lru.set('c', 3)
  expect([lru.get('a'), lru.get('b'), lru.get('c'), lru.size()]).toEqual([1, undefined, 3, 2])
})

it('replaces the value of a key it has without dropping another', () => {
  const lru = createLru<string, number>(2)
  lru.set('a', 1)
  lru.set('b', 2)
  lru.set('a', 3)
  expect([lru.get('a'), lru.get('b'), lru.size()]).toEqual([3, 2, 2])
})
