import { expect, test } from 'vitest'
import { rangeOf } from './reconcile-range.ts'

const admin = {
  ranges: async () => [
    { topic: 'events.a', partition: 0, start: 100n, end: 1_100n },
    { topic: 'events.a', partition: 1, start: 0n, end: 500n },
    { topic: 'events.a', partition: 2, start: 0n, end: 0n }
  ],
  offsetsAt: async (_topic: string, atMs: number) => (atMs === 1 ? new Map([[0, 200n]]) : new Map([[0, 900n]])),
  groupOffsets: async () =>
    new Map([
      [0, 1_000n],
      [1, 400n]
    ])
}
const wanted = { topic: 'events.a', loadGroup: 'load', fromMs: undefined, toMs: undefined, most: Infinity }

test('reaches from the beginning of the log to where the loaders are', async () => {
  expect(await rangeOf(admin, wanted)).toEqual({
    parts: [
      { partition: 0, from: 100n, to: 1_000n },
      { partition: 1, from: 0n, to: 400n },
      { partition: 2, from: 0n, to: 0n }
    ],
    pending: 200n,
    cut: 0n
  })
})

test('is narrowed by times', async () => {
  const { parts, pending } = await rangeOf(admin, { ...wanted, fromMs: 1, toMs: 2 })
  expect([parts[0], pending]).toEqual([{ partition: 0, from: 200n, to: 900n }, 100n])
})

test('keeps the newest part of every partition when there are too many records, and says how many are left out', async () => {
  const { parts, cut } = await rangeOf(admin, { ...wanted, most: 650 })
  expect([parts, cut]).toEqual([
    [
      { partition: 0, from: 550n, to: 1_000n },
      { partition: 1, from: 200n, to: 400n },
      { partition: 2, from: 0n, to: 0n }
    ],
    650n
  ])
})
