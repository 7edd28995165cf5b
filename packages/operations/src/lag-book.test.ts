import { describe, expect, test } from 'vitest'
import { partitionKey } from '@millrace/kafka'
import { createLagBook } from './lag-book.ts'
import type { LagSample } from './lag-sample.ts'

const topic = 'events.shop'
const everyMs = 10_000

interface Place {
  readonly start?: bigint
  readonly end: bigint
  readonly position?: bigint
  readonly leader?: number
}

function sampleOf(atMs: number, places: readonly Place[]): LagSample {
  const heads = places.map(({ start = 0n, end, leader = 1 }, partition) => ({ topic, partition, start, end, leader }))
  const positions = new Map(
    places.flatMap(({ position }, partition): [string, bigint][] =>
      position === undefined ? [] : [[partitionKey({ topic, partition }), position]]
    )
  )
  return { atMs, heads, groups: [{ group: 'load', reads: (name) => name === topic, positions }], failed: [] }
}

const floor = (value: number): bigint => BigInt(Math.floor(value))

/** A log with `rate` records a second in each partition, read by `positionAt`; the state by sample until `untilMs`. */
function run(
  untilMs: number,
  endAt: (partition: number, atMs: number) => number,
  positionAt: (partition: number, atMs: number) => number,
  partitions = 4
) {
  const book = createLagBook({ everyMs })
  const changes: { atMs: number; states: readonly string[] }[] = []
  let before = ''
  for (let atMs = 0; atMs <= untilMs; atMs += everyMs) {
    const numbers = Array.from({ length: partitions }, (_, partition) => partition)
    book.take(
      sampleOf(
        atMs,
        numbers.map((partition) => ({
          end: floor(endAt(partition, atMs)),
          position: floor(positionAt(partition, atMs))
        }))
      )
    )
    const states = book.judge().rows.map(({ state }) => state)
    if (states.join() !== before) changes.push({ atMs, states })
    before = states.join()
  }
  return changes
}

describe('the book of samples', () => {
  test('tells records, age and rates of each partition', () => {
    const book = createLagBook({ everyMs })
    for (let second = 0; second <= 60; second += 10)
      book.take(
        sampleOf(second * 1_000, [
          { end: floor(100 * second), position: floor(40 * second) },
          { end: floor(second), position: floor(second) }
        ])
      )
    const { rows, partitions } = book.judge()
    expect(rows).toMatchObject([
      { partition: 0, records: 3_600, seconds: 36, consumeRate: 40, position: 2_400n, end: 6_000n },
      { partition: 1, records: 0, seconds: 0, consumeRate: 1 }
    ])
    expect(partitions.map(({ produceRate }) => produceRate)).toEqual([100, 1])
  })

  test('asks for the time of positions from before its first sample, and learns it', () => {
    const book = createLagBook({ everyMs })
    book.take(
      sampleOf(1_000_000, [
        { end: 500n, position: 100n },
        { end: 5n, position: 5n },
        { start: 7n, end: 9n }
      ])
    )
    const unclear = book.unclear(8)
    expect(unclear).toEqual([
      { topic, partition: 0, offset: 100n },
      { topic, partition: 2, offset: 7n }
    ])
    expect(book.unclear(1)).toHaveLength(1)
    book.learn(unclear, new Map([[`${topic}:0`, 400_000]]))
    expect(book.judge().rows.map(({ records, seconds }) => [records, seconds])).toEqual([
      [400, 600],
      [0, 0],
      [2, 0]
    ])
    expect(book.unclear(8).map(({ partition }) => partition)).toEqual([2])
  })

  test('names the groups that could not be asked in the last sample', () => {
    const book = createLagBook({ everyMs })
    const away = { group: 'aggregate', error: new Error('no answer') }
    book.take({ ...sampleOf(0, [{ end: 1n }]), failed: [away] })
    expect(book.judge().unknown).toEqual([{ group: 'aggregate', reason: 'no answer' }])
    book.take(sampleOf(10_000, [{ end: 1n }]))
    expect(book.judge().unknown).toEqual([])
  })

  test('counts partitions that have another leader than before', () => {
    const book = createLagBook({ everyMs })
    book.take(
      sampleOf(0, [
        { end: 1n, leader: 1 },
        { end: 1n, leader: 2 }
      ])
    )
    expect(book.judge().leaderChanges).toBe(0)
    book.take(
      sampleOf(10_000, [
        { end: 1n, leader: 2 },
        { end: 1n, leader: 2 }
      ])
    )
    expect(book.judge().leaderChanges).toBe(1)
    book.take(
      sampleOf(20_000, [
        { end: 1n, leader: 2 },
        { end: 1n, leader: 2 }
      ])
    )
    expect(book.judge().leaderChanges).toBe(0)
  })

  test('finds a consumer of one partition that froze, five to six minutes after', () => {
    const frozenAtMs = 600_000
    const changes = run(
      1_200_000,
      (_, atMs) => atMs / 10,
      (partition, atMs) => (partition === 2 ? Math.min(atMs, frozenAtMs) : atMs) / 10
    )
    expect(changes.map(({ states }) => states)).toEqual([
      ['fine', 'fine', 'fine', 'fine'],
      ['fine', 'fine', 'hot', 'fine']
    ])
    const afterMs = (changes[1]?.atMs ?? 0) - frozenAtMs
    expect(afterMs).toBeGreaterThanOrEqual(300_000)
    expect(afterMs).toBeLessThanOrEqual(360_000)
  })

  test('finds a group that froze as a whole in the same time, as behind', () => {
    const changes = run(
      1_200_000,
      (_, atMs) => atMs / 10,
      (_, atMs) => Math.min(atMs, 600_000) / 10
    )
    expect(changes[1]?.states).toEqual(['behind', 'behind', 'behind', 'behind'])
    expect((changes[1]?.atMs ?? 0) - 600_000).toBeGreaterThanOrEqual(300_000)
    expect((changes[1]?.atMs ?? 0) - 600_000).toBeLessThanOrEqual(360_000)
  })

  test('says nothing of a day without events, nor of saw-teeth of commits and bursts that are caught up with', () => {
    const day = 86_400_000
    const idle = run(
      day,
      () => 7_000,
      () => 7_000
    )
    expect(idle).toHaveLength(1)
    // Commits every 50 s at 1,000 records a second: up to 50,000 behind and 50 s old.
    const sawTeeth = run(
      day / 24,
      (_, atMs) => atMs,
      (partition, atMs) => Math.floor(atMs / 50_000 + partition / 4) * 50_000 - partition * 12_500
    )
    expect(sawTeeth).toHaveLength(1)
    // A burst into one partition every hour that takes three minutes to work off.
    const bursts = run(
      day / 4,
      (partition, atMs) => (partition === 0 ? Math.ceil(atMs / 3_600_000) * 90_000 : 0),
      (partition, atMs) =>
        partition === 0 ? Math.floor(atMs / 3_600_000) * 90_000 + Math.min(90_000, (atMs % 3_600_000) / 2) : 0
    )
    expect(bursts).toHaveLength(1)
  })
})
