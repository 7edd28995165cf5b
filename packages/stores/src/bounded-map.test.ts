import { expect, test } from 'vitest'
import { createBoundedMap } from './bounded-map.ts'

test('what was not used for long goes, and both reading and writing are use', () => {
  const map = createBoundedMap<string, number>(4)
  for (const [at, key] of ['a', 'b', 'c', 'd'].entries()) map.set(key, at)
  expect(map.get('a')).toBe(0)
  map.set('b', 10)
  map.set('e', 4)
  expect(['a', 'b', 'c', 'd', 'e'].map((key) => map.get(key))).toEqual([0, 10, undefined, undefined, 4])
})

test('it never holds more than its bound, and always the half of it that was used last', () => {
  const map = createBoundedMap<number, number>(10)
  for (let key = 0; key < 100; key++) {
    map.set(key, key)
    expect(map.size).toBeLessThanOrEqual(10)
    for (let back = 0; back < Math.min(5, key + 1); back++) expect(map.get(key - back)).toBe(key - back)
  }
})

test('what is deleted is gone from both generations', () => {
  const map = createBoundedMap<string, number>(2)
  map.set('a', 1)
  map.set('b', 2)
  map.delete('a')
  map.delete('b')
  expect([map.get('a'), map.get('b'), map.size]).toEqual([undefined, undefined, 0])
})
