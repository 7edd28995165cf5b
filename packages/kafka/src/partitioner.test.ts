// murmur2 against the vectors of the Java client, so that a key lands where a Java producer puts it.
import { expect, test } from 'vitest'
import { murmur2, partitionFor } from './partitioner.ts'

test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971]
])('hashes %s as the Java client does', (key, hash) => {
  expect(murmur2(Buffer.from(key))).toBe(hash)
})

test('hashes every tail length', () => {
  expect(murmur2(Buffer.from('abc'))).toBe(479470107)
  expect(new Set(['', 'a', 'ab', 'abc', 'abcd'].map((key) => murmur2(Buffer.from(key)))).size).toBe(5)
})

test('gives text and its bytes the same partition, in range and spread out', () => {
  const counts = Array.from({ length: 7 }, () => 0)
  for (let index = 0; index < 7_000; index++) {
    const partition = partitionFor(`key-${index}`, 7)
    expect(partitionFor(Buffer.from(`key-${index}`), 7)).toBe(partition)
    counts[partition] = (counts[partition] ?? 0) + 1
  }
  expect(Math.min(...counts)).toBeGreaterThan(850)
  expect(counts.length).toBe(7)
})
