import { expect, test } from 'vitest'
import { toLagFacts } from './lag-facts.ts'

const place = { topic: 'events.shop', produceRate: 0 }
const view = {
  atMs: 1_000_000,
  rows: [],
  partitions: [
    { ...place, partition: 0, leader: 1 },
    { ...place, partition: 1, leader: -1 }
  ],
  leaderChanges: 0,
  unknown: [{ group: 'aggregate', reason: 'no answer' }]
}

test('a look of the last minute tells of lag, partitions without a leader, and groups that nobody knows of', () => {
  expect(toLagFacts(view, 1_060_000)).toEqual({ rows: [], leaderless: [view.partitions[1]], unknown: view.unknown })
})

test('an older look, or none, tells nothing: what was fine then need not be now', () => {
  expect(() => toLagFacts(view, 1_061_000)).toThrow('the log has last been looked at 61 s ago')
  expect(() => toLagFacts({ ...view, atMs: 0 }, 1_000_000)).toThrow('the log has not been looked at yet')
})
