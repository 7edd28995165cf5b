import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { filtersSql, operators, valueSql } from './filters.ts'
import type { Filter } from './filters.ts'
import { createBinding } from './bound.ts'
import { funnelQuery, readFunnel } from './funnel.ts'
import { WrongInput } from './input.ts'
import { periodsFrom } from './periods.ts'
import { readRetention, retentionQuery } from './retention.ts'
import { readTimeline, timelineQuery, toTimeline } from './timeline.ts'
import { readTop, topQuery } from './top.ts'

const nowMs = Date.parse('2026-06-15T12:00:30Z')
const placeOf = (read: () => unknown): unknown => {
  try {
    return ['read', read()]
  } catch (error) {
    return error instanceof WrongInput ? [error.code, error.pointer] : error
  }
}
const view = { eventType: 'view' }
const two = { steps: [view, { eventType: 'buy' }] }
const filtered = (...filters: unknown[]) => ({ steps: [view, { eventType: 'buy', filters }] })

describe('a funnel', () => {
  it.each([
    [[], 'invalid_field', ''],
    ['steps', 'invalid_field', ''],
    [{}, 'invalid_field', '/steps'],
    [{ steps: [view] }, 'invalid_field', '/steps'],
    [{ steps: Array.from({ length: 11 }, () => view) }, 'invalid_field', '/steps'],
    [{ steps: [view, {}] }, 'missing_field', '/steps/1/eventType'],
    [{ steps: [view, { eventType: 5 }] }, 'invalid_field', '/steps/1/eventType'],
    [{ steps: [view, { eventType: 'x'.repeat(1_001) }] }, 'invalid_field', '/steps/1/eventType'],
    [{ steps: [view, { ...view, event: 1 }] }, 'unknown_field', '/steps/1/event'],
    [{ ...two, 'a/b~': 1 }, 'unknown_field', '/a~1b~0'],
    [{ ...two, order: 'unordered' }, 'invalid_field', '/order'],
    [{ ...two, identity: 'device' }, 'invalid_field', '/identity'],
    [{ ...two, conversionWindow: '91d' }, 'invalid_field', '/conversionWindow'],
    [{ ...two, conversionWindow: '0d' }, 'invalid_field', '/conversionWindow'],
    [{ ...two, conversionWindow: 7 }, 'invalid_field', '/conversionWindow'],
    [{ ...two, timezone: 'Mars/Base' }, 'invalid_field', '/timezone'],
    [{ ...two, timezone: '+02:00' }, 'invalid_field', '/timezone'],
    [{ ...two, startTime: '2026-02-31' }, 'invalid_field', '/startTime'],
    [{ ...two, startTime: '2026-07-01' }, 'invalid_field', '/startTime'],
    [{ ...two, startTime: '2025-06-01', endTime: '2026-06-15' }, 'invalid_field', '/startTime'],
    [{ ...two, startTime: '0000-01-01', endTime: '2026-06-15' }, 'invalid_field', '/startTime'],
    [{ ...two, endTime: 'soon' }, 'invalid_field', '/endTime'],
    [{ ...two, endTime: '999999999999999' }, 'invalid_field', '/endTime'],
    [{ ...two, startTime: '2299-12-31', endTime: '2300-01-01' }, 'invalid_field', '/endTime'],
    [{ ...two, endTime: 1e300 }, 'invalid_field', '/endTime'],
    [{ ...two, startTime: -1 }, 'invalid_field', '/startTime'],
    [{ ...two, breakdown: { limit: 3 } }, 'missing_field', '/breakdown/property'],
    [{ ...two, breakdown: { property: 'ip' } }, 'invalid_field', '/breakdown/property'],
    [{ ...two, breakdown: { property: 'properties.' } }, 'invalid_field', '/breakdown/property'],
    [{ ...two, breakdown: { property: 'country', limit: 51 } }, 'invalid_field', '/breakdown/limit'],
    [filtered({}), 'missing_field', '/steps/1/filters/0/property'],
    [filtered({ property: 'country' }), 'invalid_field', '/steps/1/filters/0/operator'],
    [filtered({ property: 'country', operator: 'gt', values: [1] }), 'invalid_field', '/steps/1/filters/0/operator'],
    [filtered({ property: 'country', operator: 'is' }), 'invalid_field', '/steps/1/filters/0/values'],
    [
      filtered({ property: 'country', operator: 'is', values: ['a', 5] }),
      'invalid_field',
      '/steps/1/filters/0/values/1'
    ],
    [
      filtered({ property: 'properties.n', operator: 'gt', values: ['5'] }),
      'invalid_field',
      '/steps/1/filters/0/values/0'
    ],
    [
      filtered({ property: 'properties.n', operator: 'gt', values: [1, 2] }),
      'invalid_field',
      '/steps/1/filters/0/values'
    ],
    [
      filtered({ property: 'path', operator: 'contains', values: [''] }),
      'invalid_field',
      '/steps/1/filters/0/values/0'
    ],
    [filtered({ property: 'path', operator: 'isSet', values: [] }), 'invalid_field', '/steps/1/filters/0/values'],
    [filtered(...Array.from({ length: 11 }, () => ({}))), 'invalid_field', '/steps/1/filters']
  ])('%j is %s at %s', (body, code, pointer) => {
    expect(placeOf(() => readFunnel(body, nowMs))).toEqual([code, pointer])
  })

  it('takes milliseconds as numbers, too', () => {
    const [fromMs, toMs] = [nowMs - 60_000, nowMs]
    const { span } = readFunnel({ ...two, startTime: fromMs, endTime: toMs }, nowMs)
    expect(span).toEqual({ fromMs, toMs, zone: 'UTC' })
  })

  it('is of the last thirty days until the next minute unless it says otherwise', () => {
    const { span, windowMs, order, identity } = readFunnel(two, nowMs)
    expect([new Date(span.fromMs).toISOString(), new Date(span.toMs).toISOString()]).toEqual([
      '2026-05-16T12:01:00.000Z',
      '2026-06-15T12:01:00.000Z'
    ])
    expect([windowMs, order, identity]).toEqual([14 * 86_400_000, 'ordered', 'person'])
  })
})

describe('the level of an ordered funnel', () => {
  const ask = (...types: readonly string[]) =>
    funnelQuery(readFunnel({ steps: types.map((eventType) => ({ eventType })), conversionWindow: '1h' }, nowMs)).sql

  it('is that of the engine where an event can meet one step only', () => {
    expect(ask('view', 'buy')).toContain('windowFunnel(3600000)(toUInt64(')
    expect(ask('view', 'buy')).not.toContain('arrayFold')
  })

  it('goes through the events once where steps share a type, and looks at the sets of such steps alone', () => {
    const sql = ask('view', 'buy', 'view')
    expect(sql).not.toContain('windowFunnel')
    expect(sql).toContain('[(1, 1, 0), (4, 1, 2), (5, 2, 2), (2, 1, 1)]')
    // Filters are long; the text may have 10,000 parts.
    const filters = [{ property: 'country', operator: 'is', values: ['DE'] }]
    const steps = [view, { ...view, filters }]
    expect(funnelQuery(readFunnel({ steps }, nowMs)).sql.split('country IN').length - 1).toBe(1)
  })
})

describe('an address', () => {
  const retention = { firstEvent: 'signup', returningEvent: 'view' }
  it.each([
    ['an event that is missing', () => readRetention({ firstEvent: 'a' }, nowMs), 'missing_field', '/returningEvent'],
    ['too many periods', () => readRetention({ ...retention, periods: '91' }, nowMs), 'invalid_field', '/periods'],
    [
      'too many cohorts',
      () => readRetention({ ...retention, startTime: '2026-01-01', endTime: '2026-06-01' }, nowMs),
      'invalid_field',
      '/startTime'
    ],
    [
      'filters that are no JSON',
      () => readRetention({ ...retention, firstFilters: '[' }, nowMs),
      'invalid_field',
      '/firstFilters'
    ],
    [
      'a filter that is none',
      () => readRetention({ ...retention, returningFilters: '[1]' }, nowMs),
      'invalid_field',
      '/returningFilters/0'
    ],
    ['an hour', () => readRetention({ ...retention, granularity: 'hour' }, nowMs), 'invalid_field', '/granularity'],
    ['a property that is none', () => readTop('nope', {}, nowMs), 'invalid_field', '/dimension'],
    ['a limit', () => readTop('path', { limit: '201' }, nowMs), 'invalid_field', '/limit'],
    ['a limit that is no number', () => readTop('path', { limit: '1e1' }, nowMs), 'invalid_field', '/limit'],
    ['an order', () => readTop('path', { by: 'count' }, nowMs), 'invalid_field', '/by'],
    ['a parameter', () => readTop('path', { sql: '1' }, nowMs), 'unknown_field', '/sql'],
    [
      'the same parameter twice',
      () => readTop('path', { eventType: ['a', 'b'] }, nowMs),
      'invalid_field',
      '/eventType'
    ],
    ['a cursor', () => readTimeline('ann', { cursor: 'abc' }, nowMs), 'invalid_field', '/cursor'],
    [
      'a cursor of another kind',
      () => readTimeline('ann', { cursor: Buffer.from('[1,2,"x",""]').toString('base64url') }, nowMs),
      'invalid_field',
      '/cursor'
    ],
    [
      'a time beyond all events',
      () => readRetention({ ...retention, startTime: '253402214400000', endTime: '253402300800000' }, nowMs),
      'invalid_field',
      '/endTime'
    ],
    ['a page', () => readTimeline('ann', { limit: '1001' }, nowMs), 'invalid_field', '/limit']
  ])('with %s says so', (_name, read, code, pointer) => {
    expect(placeOf(read)).toEqual([code, pointer])
  })
})

describe('a cursor', () => {
  const read = (place: readonly unknown[]) => {
    const cursor = Buffer.from(JSON.stringify(place)).toString('base64url')
    return readTimeline('ann', { cursor }, nowMs).after
  }

  it.each([
    [[Date.UTC(2300, 0), 2, '3', 'e']],
    [[-1, 2, '3', 'e']],
    [[1, 2 ** 32, '3', 'e']],
    [[1, 2.5, '3', 'e']],
    [[1, 2, String(2n ** 64n), 'e']],
    [[1, 2, '3', 4]]
  ])('is none with %j', (place) => {
    expect(placeOf(() => read(place))).toEqual(['invalid_field', '/cursor'])
  })

  it('may be the last one that there is', () => {
    const place = [Date.UTC(2300, 0) - 1, 2 ** 32 - 1, String(2n ** 64n - 1n), 'e']
    expect(read(place)).toEqual(place)
  })
})

describe('a page of a timeline', () => {
  it('goes on while there are more events than came, be it for their number or for their bytes', () => {
    const question = readTimeline('ann', { limit: '2' }, nowMs)
    const rowsOf = (count: number, found: number) =>
      Array.from({ length: count }, (_, index) => [
        `e${index}`,
        ...Array.from({ length: 17 }, () => ''),
        nowMs,
        nowMs,
        3,
        `${index}`,
        '{}',
        found
      ])
    const next = (count: number, found: number): unknown => {
      const { nextCursor } = toTimeline(question, 'ann', { rows: rowsOf(count, found) }) as { nextCursor?: string }
      return typeof nextCursor === 'string' ? readTimeline('ann', { cursor: nextCursor }, nowMs).after : nextCursor
    }
    expect([next(3, 3), next(1, 2), next(2, 2), next(0, 0)]).toEqual([
      [nowMs, 3, '1', 'e1'],
      [nowMs, 3, '0', 'e0'],
      null,
      null
    ])
  })
})

describe('the text of a question', () => {
  const word = fc.string({ minLength: 4, maxLength: 20 }).filter((text) => /[^\w ]/.test(text))
  it('holds nothing of what people write', () => {
    const operator = fc.constantFrom(...operators)
    fc.assert(
      fc.property(word, word, word, operator, (eventType, name, value, chosen) => {
        const isNumeric = ['gt', 'gte', 'lt', 'lte'].includes(chosen)
        const values = chosen.startsWith('is') && chosen.endsWith('Set') ? undefined : [isNumeric ? 12_345.5 : value]
        const filters = [{ property: `properties.${name}`, operator: chosen, ...(values && { values }) }]
        const text = JSON.stringify(filters)
        const breakdown = { property: `properties.${name}` }
        const questions = [
          funnelQuery(readFunnel({ steps: [{ eventType, filters }, view], breakdown }, nowMs)),
          funnelQuery(readFunnel({ steps: [{ eventType, filters }, view], order: 'strict' }, nowMs)),
          retentionQuery(readRetention({ firstEvent: eventType, returningEvent: value, firstFilters: text }, nowMs)),
          topQuery(readTop(`properties.${name}`, { eventType, filters: text }, nowMs)),
          timelineQuery(readTimeline(eventType, { eventType: value }, nowMs), [name])
        ]
        for (const { sql } of questions) {
          for (const given of [eventType, name, value]) expect(sql).not.toContain(given)
        }
      }),
      { numRuns: 50 }
    )
  })

  it('binds a value of each type as what it is', () => {
    const { bind, params } = createBinding()
    const filter: Filter = { property: 'properties.x', operator: 'is', values: ['5', 5, true] }
    filtersSql([filter], bind)
    valueSql('properties.y', bind)
    expect(params).toEqual({ p0: 'x', p1: ['5'], p2: [5], p3: [1], p4: 'y' })
  })
})

describe('periods of a zone', () => {
  it.each([
    ['UTC', 'day', '2026-03-29T10:00:00Z', ['2026-03-29 2026-03-29T00:00', '2026-03-30 2026-03-30T00:00']],
    ['Europe/Berlin', 'day', '2026-03-29T22:30:00Z', ['2026-03-30 2026-03-29T22:00', '2026-03-31 2026-03-30T22:00']],
    ['Europe/Berlin', 'week', '2026-03-29T10:00:00Z', ['2026-03-23 2026-03-22T23:00', '2026-03-30 2026-03-29T22:00']],
    ['Asia/Kathmandu', 'month', '2026-01-31T20:00:00Z', ['2026-02-01 2026-01-31T18:15', '2026-03-01 2026-02-28T18:15']],
    [
      'America/Los_Angeles',
      'week',
      '2026-11-02T07:59:59Z',
      ['2026-10-26 2026-10-26T07:00', '2026-11-02 2026-11-02T08:00']
    ]
  ] as const)('begin in %s, by %s, at %s as people there say', (zone, granularity, at, expected) => {
    const found = [...periodsFrom(zone, granularity, Date.parse(at)).take(2)]
    expect(found.map(({ date, startMs }) => `${date} ${new Date(startMs).toISOString().slice(0, 16)}`)).toEqual(
      expected
    )
  })
})
