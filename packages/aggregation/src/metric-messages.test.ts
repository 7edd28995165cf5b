import { describe, expect, it } from 'vitest'
import { kindOfMetric, toMetricMessages } from './metric-messages.ts'
import { builtInMetrics } from './metrics.ts'
import type { WindowShare, WindowValue } from './window-value.ts'

const share = (part: Partial<WindowShare>): WindowShare => ({
  count: 0,
  sum: 0n,
  min: undefined,
  max: undefined,
  unique: undefined,
  ...part
})
const window = (values: Record<string, WindowShare>): WindowValue => ({
  name: 'revenue:1h:3600000',
  startMs: 3_600_000,
  events: 4,
  closed: true,
  capped: false,
  revision: 9,
  values: new Map(Object.entries(values))
})
const context = { project: 'shop', epoch: 2 } as const

describe('toMetricMessages', () => {
  it('tells the whole window first, without a dimension, and each dimension after it', () => {
    const messages = toMetricMessages(window({ '["a"]': share({ count: 1 }), '': share({ count: 4 }) }), {
      ...context,
      kind: 'count'
    })
    const common = {
      project: 'shop',
      metric: 'revenue',
      kind: 'count',
      granularity: '1h',
      timestamp: 3_600_000,
      capped: false,
      revision: [2, 9],
      final: true
    }
    expect(messages).toEqual([
      { ...common, value: 4, count: 4 },
      { ...common, dimension: '["a"]', value: 1, count: 1 }
    ])
  })

  it.each([
    ['unique', share({ count: 5, unique: 3 }), { value: 3 }],
    ['sum', share({ count: 2, sum: 12_500_000n }), { value: 12.5 }],
    ['sum', share({ count: 2, sum: -12_500_000n }), { value: -12.5 }],
    ['min', share({ count: 2, min: -1_000_000 }), { value: -1 }],
    ['max', share({ count: 2, max: 2_500_000 }), { value: 2.5 }],
    ['ratio', share({ count: 4, sum: 1n }), { value: 0.25, numerator: 1, denominator: 4 }],
    ['ratio', share({}), { value: 0, numerator: 0, denominator: 0 }]
  ] as const)('knows the value of a %s', (kind, value, expected) => {
    expect(toMetricMessages(window({ '': value }), { ...context, kind })[0]).toMatchObject(expected)
  })
})

describe('kindOfMetric', () => {
  it('is the measure of the definition, and a ratio for what sessions make', () => {
    expect(builtInMetrics([]).map(kindOfMetric)).toEqual(['count', 'unique', 'count', 'unique', 'count', 'sum'])
    expect(kindOfMetric(undefined)).toBe('ratio')
  })
})
