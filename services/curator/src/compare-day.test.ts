import { describe, expect, it } from 'vitest'
import type { MetricKind } from '@millrace/contracts'
import type { HeldValue } from '@millrace/operations/recounts'
import { compareDay } from './compare-day.ts'
import type { CountedDay } from './count-day.ts'

const counted = (change: Partial<CountedDay> = {}): CountedDay => ({
  metrics: new Map<string, MetricKind>([
    ['events', 'count'],
    ['active_users', 'unique'],
    ['bounce_rate', 'ratio']
  ]),
  values: [value('events', 100), value('active_users', 1_000), value('bounce_rate', 3, 4)],
  late: 0,
  changed: new Set(),
  ...change
})
const value = (metric: string, number: number, denominator?: number) => ({
  projectId: 'shop',
  dayMs: 0,
  metric,
  dimensionKey: '',
  dimensionValue: '',
  value: number,
  ...(denominator === undefined ? {} : { denominator }),
  count: 1,
  capped: false,
  revision: [0, 0] as const,
  source: 'warehouse' as const
})
const live = (metric: string, number: number, change: Partial<HeldValue> = {}): HeldValue => ({
  metric,
  dimensionValue: '',
  value: number,
  capped: false,
  source: 'live',
  ...change
})
const likeness = (held: HeldValue, day = counted(), reason: 'nightly' | 'lost' = 'nightly') =>
  Object.entries(compareDay([held], day, reason).counts).find(([, count]) => count > 0)?.[0]

describe('a live value beside the count of the warehouse', () => {
  it.each([
    ['is the same', live('events', 100), 'same'],
    ['is a difference when nothing explains it', live('events', 99), 'different'],
    ['may be off by the error of its method', live('active_users', 975), 'approximate'],
    ['may not be off by more than that', live('active_users', 900), 'different'],
    ['is compared in both parts of a ratio', live('bounce_rate', 3, { denominator: 5 }), 'different'],
    [
      'is a difference when the warehouse has no such value',
      live('events', 1, { dimensionValue: '["x"]' }),
      'different'
    ],
    ['is explained beyond the cap', live('events', 1, { dimensionValue: '*', capped: true }), 'explained'],
    ['is no live value when the warehouse made it', live('events', 1, { source: 'warehouse' }), undefined],
    ['is passed over when nobody counts its metric any more', live('gone', 1), undefined]
  ])('%s', (_name, held, expected) => {
    expect(likeness(held)).toBe(expected)
  })

  it('is explained by late events, by another version of its metric, and by a day that was not seen whole', () => {
    const held = live('events', 99)
    expect(likeness(held, counted({ late: 1 }))).toBe('explained')
    expect(likeness(held, counted({ changed: new Set(['events']) }))).toBe('explained')
    expect(likeness(held, counted(), 'lost')).toBe('explained')
    expect(likeness(live('events', 100), counted({ late: 1 }))).toBe('same')
  })

  it('is named when it differs', () => {
    expect(compareDay([live('events', 99)], counted(), 'nightly').differences).toEqual([
      { metric: 'events', dimension: '', live: 99, warehouse: 100 }
    ])
  })
})
