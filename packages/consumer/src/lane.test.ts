import { describe, expect, it } from 'vitest'
import type { KafkaRecord, RecordBatch } from '@millrace/kafka'
import { Lane } from './lane.ts'

const at = { topic: 't', partition: 3 }

function record(offset: bigint, bytes = 36): KafkaRecord {
  return { ...at, offset, key: null, value: Buffer.alloc(bytes), headers: {}, appendedAtMs: 0 }
}

function batch(offsets: readonly bigint[], nextOffset = (offsets.at(-1) ?? -1n) + 1n): RecordBatch {
  return { ...at, records: offsets.map((offset) => record(offset)), highWatermark: 100n, nextOffset }
}

describe('a lane', () => {
  it('refuses a move that is not in the table', () => {
    const lane = new Lane(at, 0n)
    expect(() => lane.become('committing')).toThrow('lane t:3 cannot go from filling to committing')
    lane.become('flushing')
    expect(lane.state).toBe('flushing')
  })

  it('keeps the verdict on a record that is decoded when it arrives, and decodes none that it has', () => {
    const lane = new Lane<bigint>(at, 0n)
    const decoded: bigint[] = []
    const decode = ({ offset }: KafkaRecord) => {
      decoded.push(offset)
      return { kind: 'item', item: offset } as const
    }
    lane.take(batch([0n, 1n]), 0, decode)
    lane.take(batch([1n, 2n]), 0, decode)
    lane.take(batch([3n]), 0)
    expect(decoded).toEqual([0n, 1n, 2n])
    expect(lane.peek(10, 1_000).map((entry) => entry.decoded?.kind)).toEqual(['item', 'item', 'item', undefined])
  })

  it('counts what items hold beside their records until they are settled or dropped, apart from what a batch counts', () => {
    const lane = new Lane<bigint>(at, 0n)
    const decode = ({ offset }: KafkaRecord) =>
      offset === 1n ? ({ kind: 'skip', reason: 'invalid' } as const) : ({ kind: 'item', item: offset } as const)
    lane.take(batch([0n, 1n, 2n]), 0, decode, (item) => 1_000 + Number(item))
    expect([lane.load().bytes, lane.heldBytes]).toEqual([300, 2_302])
    lane.settle(1, 1n)
    expect([lane.load().bytes, lane.heldBytes]).toEqual([200, 1_202])
    lane.clear()
    expect(lane.heldBytes).toBe(0)
  })

  it('takes the offset of the first record for its position when none is given', () => {
    const lane = new Lane(at, undefined)
    expect(lane.position).toBeUndefined()
    lane.take(batch([7n, 8n]), 0)
    expect([lane.position, lane.fetched]).toEqual([7n, 9n])
  })

  it('keeps its position over a hole in front of the first record, so that the batch covers it', () => {
    const lane = new Lane(at, 5n)
    lane.take(batch([7n]), 0)
    expect(lane.position).toBe(5n)
  })

  it('ignores records it has buffered already, and says how many', () => {
    const lane = new Lane(at, 0n)
    lane.take(batch([0n, 1n]), 0)
    expect(lane.take(batch([0n, 1n, 2n]), 0)).toBe(2)
    expect(lane.peek(10, 1_000).map(({ record }) => record.offset)).toEqual([0n, 1n, 2n])
  })

  it('counts control records at the end of a batch to its last record', () => {
    const lane = new Lane(at, 0n)
    lane.take(batch([0n, 1n], 4n), 0)
    expect(lane.peek(10, 1_000).map(({ next }) => next)).toEqual([1n, 4n])
    lane.take(batch([], 6n), 0)
    expect(lane.peek(10, 1_000).map(({ next }) => next)).toEqual([1n, 6n])
  })

  it('gives the oldest records up to both limits, and at least one', () => {
    const lane = new Lane(at, 0n)
    lane.take(batch([0n, 1n, 2n]), 0)
    const offsets = (rows: number, bytes: number) => lane.peek(rows, bytes).map(({ record }) => record.offset)
    expect(offsets(2, 1_000)).toEqual([0n, 1n])
    expect(offsets(10, 250)).toEqual([0n, 1n])
    expect(offsets(10, 1)).toEqual([0n])
  })

  it('settles a prefix and keeps the rest', () => {
    const lane = new Lane(at, 0n)
    lane.take(batch([0n, 1n, 2n]), 5)
    lane.settle(2, 2n)
    expect(lane.position).toBe(2n)
    expect(lane.load()).toEqual({ rows: 1, bytes: 100, oldestMs: 5, behind: true })
    expect(lane.lag()).toBe(98n)
  })

  it('drops its buffer on a rewind and takes what lies behind the new position', () => {
    const lane = new Lane(at, 0n)
    lane.take(batch([0n, 1n, 2n]), 0)
    lane.rewindTo(1n)
    expect([lane.load().rows, lane.position, lane.rewinds]).toEqual([0, 1n, 1])
    lane.take(batch([1n, 2n]), 0)
    expect(lane.load().rows).toBe(2)
    lane.settle(1, 2n)
    expect(lane.rewinds).toBe(0)
  })

  it('keeps its position when the log begins later, and goes back with a log that ends earlier', () => {
    const expired = new Lane(at, 5n)
    expired.jump(5n, 9n)
    expect([expired.position, expired.fetched]).toEqual([5n, 9n])
    const cut = new Lane(at, 5n)
    cut.jump(5n, 0n)
    expect([cut.position, cut.fetched]).toEqual([0n, 0n])
  })
})
