import type { MetricMessage } from '@millrace/contracts'
import { fastestOf } from '@millrace/testkit/fastest-of'
import { describe, expect, it } from 'vitest'
import { createMetricCells } from './metric-cells.ts'

const minuteMs = 60_000
const now = 100 * minuteMs + 5_000
const start = 100 * minuteMs

const message = (value: number, more: Partial<MetricMessage> = {}): MetricMessage => ({
  project: 'shop',
  metric: 'events',
  kind: 'count',
  granularity: '1m',
  timestamp: start,
  value,
  count: value,
  capped: false,
  revision: [1, 2 * value],
  final: false,
  ...more
})
const cells = (more: Partial<Parameters<typeof createMetricCells>[0]> = {}) =>
  createMetricCells({ lengthMs: minuteMs, windows: 3, dimension: '', maxCells: 100, ...more })
const values = (text: string | undefined): unknown =>
  text === undefined ? undefined : (JSON.parse(text) as { value: number }[]).map(({ value }) => value)

describe('the cells of a metric', () => {
  it('keep the highest revision, in whatever order values come', () => {
    const shown = cells()
    expect([3, 5, 4, 5].map((value) => shown.apply(message(value), now))).toEqual([
      'changed',
      'changed',
      'kept',
      'kept'
    ])
    expect(values(shown.takeChanges())).toEqual([5])
    expect(shown.takeChanges()).toBeUndefined()
    shown.apply(message(5, { revision: [1, 11], final: true }), now)
    expect(shown.all(now)).toBe(
      `[{"timestamp":${start},"value":5,"count":5,"capped":false,"revision":[1,11],"final":true}]`
    )
  })

  it('show the whole window, one dimension, or each of them', () => {
    const messages = [message(9), message(1, { dimension: '["a"]' }), message(2, { dimension: '*' })]
    const shownBy = (dimension: string) => {
      const shown = cells({ dimension })
      for (const each of messages) shown.apply(each, now)
      return values(shown.all(now))
    }
    expect(shownBy('')).toEqual([9])
    expect(shownBy('["a"]')).toEqual([1])
    expect(shownBy('*')).toEqual([1, 2])
  })

  it('show windows from the oldest that was asked for to the one that runs', () => {
    const shown = cells()
    const at = (timestamp: number) => shown.apply(message(1, { timestamp }), now)
    expect(at(start - 3 * minuteMs)).toBe('kept')
    expect(at(start - 2 * minuteMs)).toBe('changed')
    expect(at(start + minuteMs)).toBe('kept')
    expect(at(start + 365 * 24 * 60 * minuteMs)).toBe('kept')
    expect(shown.oldestMs(now)).toBe(start - 2 * minuteMs)
    expect(values(shown.all(now + minuteMs))).toEqual([])
  })

  it('ask for everything anew when a value is of a newer epoch, and forget the old one with it', () => {
    const shown = cells()
    expect(shown.load(1, [message(5), message(6, { timestamp: start - minuteMs })], now)).toBe(false)
    expect(shown.apply(message(1, { revision: [2, 2] }), now)).toBe('newer')
    expect(values(shown.all(now))).toEqual([5, 6])
    expect(shown.load(2, [message(4, { revision: [2, 8] })], now)).toBe(true)
    expect(values(shown.all(now))).toEqual([4])
    expect(shown.apply(message(9, { revision: [1, 18] }), now)).toBe('kept')
  })

  it('keep what the log told when the live state is lost', () => {
    const shown = cells()
    shown.load(3, [message(5, { revision: [3, 10] })], now)
    expect(shown.load(0, [], now)).toBe(false)
    expect(values(shown.all(now))).toEqual([5])
  })

  it('take a snapshot of the same epoch as more of the same', () => {
    const shown = cells()
    shown.load(1, [message(5)], now)
    shown.takeChanges()
    expect(shown.load(1, [message(4), message(7, { timestamp: start - minuteMs })], now)).toBe(false)
    expect(values(shown.takeChanges())).toEqual([7])
  })

  it('hold no more than they may, the newest windows first', () => {
    const shown = cells({ dimension: '*', maxCells: 2 })
    const of = (name: string, timestamp: number) =>
      shown.apply(message(1, { dimension: `["${name}"]`, timestamp }), now)
    of('a', start - minuteMs)
    of('b', start)
    of('c', start)
    of('d', start)
    of('e', start - minuteMs)
    expect(of('c', start - 2 * minuteMs)).toBe('kept')
    const left = JSON.parse(shown.all(now)) as { dimension: string }[]
    expect(left.map(({ dimension }) => dimension)).toEqual(['["b"]', '["c"]'])
    expect(shown.apply(message(2, { dimension: '["b"]' }), now)).toBe('changed')
  })

  it('take in a window of many dimensions without looking at each of them each time', async () => {
    const many = Array.from({ length: 24_000 }, (_, index) =>
      message(1, { dimension: `["${index % 200}"]`, timestamp: start - Math.floor(index / 200) * minuteMs })
    )
    const tookMs = await fastestOf(3, 2_000, () => {
      const shown = cells({ dimension: '*', maxCells: 5_000, windows: 120 })
      const startedAt = performance.now()
      shown.load(1, many, now)
      shown.load(1, many.toReversed(), now)
      const loadedMs = performance.now() - startedAt
      const left = JSON.parse(shown.all(now)) as { timestamp: number }[]
      expect(left).toHaveLength(5_000)
      expect(Math.min(...left.map(({ timestamp }) => timestamp))).toBe(start - 24 * minuteMs)
      return Promise.resolve(loadedMs)
    })
    expect(tookMs).toBeLessThan(2_000)
  })
})
