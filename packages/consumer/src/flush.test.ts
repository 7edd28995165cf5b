import { describe, expect, it } from 'vitest'
import { item } from './definition.ts'
import { cutFlush, itemEntries, splitDelivered, subBatch, toBatch, toCommits, truncate } from './flush.ts'
import type { Flush } from './flush.ts'
import { Lane } from './lane.ts'

/** A batch of lanes 0, 1, ... with these texts; `-` is a skipped record. */
function flushOf(lanes: readonly string[], maxRows = 100): Flush<string> {
  const made = lanes.map((texts, partition) => {
    const lane = new Lane<string>({ topic: 't', partition }, 0n)
    const records = texts.split('').map((text, offset) => ({
      topic: 't',
      partition,
      offset: BigInt(offset),
      key: null,
      value: Buffer.from(text),
      headers: {},
      appendedAtMs: 0
    }))
    lane.take({ topic: 't', partition, records, highWatermark: 9n, nextOffset: BigInt(records.length) }, 0)
    return lane
  })
  const flush = cutFlush(made, { maxRows, maxBytes: 10_000 }, 'rows')
  for (const { entries } of flush.parts) {
    for (const entry of entries) {
      const text = entry.record.value?.toString() ?? ''
      entry.decoded = text === '-' ? { kind: 'skip', reason: 'invalid' } : item(text)
    }
  }
  return flush
}

const shape = (flush: Flush<string>) => flush.parts.map(({ lane, to }) => `${lane.partition.partition}:${to}`)

describe('a batch', () => {
  it('takes from one lane after the other until it is full', () => {
    expect(shape(flushOf(['abc', 'def'], 4))).toEqual(['0:3', '1:1'])
    expect(shape(flushOf(['', 'def']))).toEqual(['1:3'])
  })

  it('has the items in order, and a range for each lane', () => {
    const batch = toBatch(flushOf(['a-b', '--', 'c']))
    expect(batch.items).toEqual(['a', 'b', 'c'])
    expect(batch.ranges.map(({ partition, to, start, count }) => [partition, to, start, count])).toEqual([
      [0, 3n, 0, 2],
      [1, 2n, 2, 0],
      [2, 1n, 2, 1]
    ])
  })

  it('is cut in front of an item: what is before it stays, of later lanes only those without items', () => {
    const flush = flushOf(['ab', 'c-d', '--', 'e'])
    const [, , , d] = itemEntries(flush)
    if (d === undefined) throw new Error('no item')
    expect(truncate(flush, d, false).map(({ lane }) => lane.key)).toEqual(['t:3'])
    expect(shape(flush)).toEqual(['0:2', '1:2', '2:2'])
    expect(toCommits(flush).map(({ offset }) => offset)).toEqual([2n, 2n, 2n])
  })

  it('is cut right behind the last decided item for a sink that owns its position', () => {
    const flush = flushOf(['a--b'])
    const [, b] = itemEntries(flush)
    if (b === undefined) throw new Error('no item')
    expect(truncate(flush, b, true)).toEqual([])
    expect(shape(flush)).toEqual(['0:1'])
  })

  it('lets the lanes without pending letters go', () => {
    const flush = flushOf(['a', 'b'])
    const [part] = flush.parts
    const entry = part?.entries[0]
    if (part === undefined || entry === undefined) throw new Error('no part')
    const outcome = { kind: 'dead', reason: 'size', cause: undefined } as const
    flush.undelivered = [{ part, entry, outcome, stage: 'handle', failedAtMs: 0 }]
    const free = splitDelivered(flush)
    expect([shape(flush), free && shape(free)]).toEqual([['0:1'], ['1:1']])
    expect(splitDelivered(flush)).toBeUndefined()
  })
})

it('cuts a part of a batch whose ranges tile the whole', () => {
  const flush = flushOf(['ab-', 'cd'])
  const nexts = itemEntries(flush).map(({ next }) => next)
  const ranges = (low: number, high: number) =>
    subBatch(toBatch(flush), nexts, low, high).ranges.map(({ partition, from, to, start, count }) => [
      partition,
      from,
      to,
      start,
      count
    ])
  expect(ranges(0, 1)).toEqual([[0, 0n, 1n, 0, 1]])
  expect(ranges(1, 3)).toEqual([
    [0, 1n, 3n, 0, 1],
    [1, 0n, 1n, 1, 1]
  ])
  expect(ranges(3, 4)).toEqual([[1, 1n, 2n, 0, 1]])
})
