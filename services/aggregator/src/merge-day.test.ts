import { describe, expect, it } from 'vitest'
import type { WindowShare, WindowValue } from '@millrace/aggregation/window-value'
import { daysOf } from './days.ts'
import { dimensionsOf, mergeDay } from './merge-day.ts'

const share = (count: number, part: Partial<WindowShare> = {}): WindowShare => ({
  count,
  sum: 0n,
  min: undefined,
  max: undefined,
  unique: undefined,
  ...part
})
const hour = (
  startMs: number,
  values: Record<string, WindowShare>,
  change: Partial<WindowValue> = {}
): WindowValue => ({
  name: `m:1h:${startMs}`,
  startMs,
  events: 1,
  closed: true,
  capped: false,
  revision: 3,
  values: new Map(Object.entries(values)),
  ...change
})
const none = new Map<string, number>()

describe('a day', () => {
  it('adds the counts of its hours, whole and by dimension', () => {
    const hours = [hour(0, { '': share(3), '["a"]': share(3) }), hour(3_600_000, { '': share(2), '["b"]': share(2) })]
    const byType = { kind: 'count', dimensions: [{ from: 'column', name: 'eventType' }] } as const
    expect(mergeDay(hours, byType, none)).toEqual([
      { dimensionKey: '', dimensionValue: '', value: 5, count: 5 },
      { dimensionKey: '["eventType"]', dimensionValue: '["a"]', value: 3, count: 3 },
      { dimensionKey: '["eventType"]', dimensionValue: '["b"]', value: 2, count: 2 }
    ])
    expect(dimensionsOf(hours)).toEqual(['', '["a"]', '["b"]'])
  })

  it.each([
    ['sum', [share(1, { sum: 1_500_000n }), share(1, { sum: -250_000n })], { value: 1.25, count: 2 }],
    ['min', [share(1, { min: 2_000_000 }), share(1, { min: -1_000_000 })], { value: -1, count: 2 }],
    ['max', [share(1, { max: 2_000_000 }), share(1)], { value: 2, count: 2 }],
    ['unique', [share(4, { unique: 3 }), share(4, { unique: 3 })], { value: 5, count: 8 }],
    ['ratio', [share(4, { sum: 1n }), share(6, { sum: 2n })], { value: 3, denominator: 10, count: 10 }]
  ] as const)('knows its %s', (kind, shares, expected) => {
    const hours = shares.map((value, index) => hour(index * 3_600_000, { '': value }))
    const [whole] = mergeDay(hours, { kind, dimensions: [] }, new Map([['', 5]]))
    expect(whole).toEqual({ dimensionKey: '', dimensionValue: '', ...expected })
  })
})

describe('the days of final windows', () => {
  it('are those of hours, each once', () => {
    const windows = [
      hour(3_600_000, {}),
      hour(7_200_000, {}),
      hour(90_000_000, {}),
      hour(0, {}, { closed: false, name: 'm:1h:0' }),
      hour(0, {}, { name: 'other:1m:0' })
    ]
    expect(daysOf(windows)).toEqual([
      { metric: 'm', dayMs: 0 },
      { metric: 'm', dayMs: 86_400_000 }
    ])
  })
})
