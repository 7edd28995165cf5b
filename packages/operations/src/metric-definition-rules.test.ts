import { describe, expect, it } from 'vitest'
import { checkMetricName, parseMeaning, writeMeaning } from './metric-definition-rules.ts'

describe('a metric definition', () => {
  it('is a measure, and everything else has a default', () => {
    expect(parseMeaning({ measure: { kind: 'count' } })).toEqual({
      where: [],
      measure: { kind: 'count' },
      dimensions: [],
      cap: 0,
      granularities: ['1m', '1h']
    })
  })

  it('names columns and properties as fields, and is written as it is read', () => {
    const written = {
      eventTypes: ['purchase', 'refund'],
      where: [{ field: 'properties.plan', equals: 'pro' }],
      measure: { kind: 'sum', property: 'price' },
      dimensions: ['country', 'properties.plan'],
      cap: 20,
      granularities: ['1h']
    }
    const meaning = parseMeaning(written)
    expect(meaning.where).toEqual([{ source: { from: 'property', name: 'plan' }, equals: 'pro' }])
    expect(meaning.dimensions).toEqual([
      { from: 'column', name: 'country' },
      { from: 'property', name: 'plan' }
    ])
    expect(writeMeaning(meaning)).toEqual(written)
  })

  it('caps its dimensions by default', () => {
    expect(parseMeaning({ measure: { kind: 'count' }, dimensions: ['path'] }).cap).toBe(50)
  })

  it.each([
    [{}, 'measure is'],
    [{ measure: { kind: 'median', property: 'price' } }, 'measure is'],
    [{ measure: { kind: 'sum' } }, 'measure is'],
    [{ measure: { kind: 'unique', of: 'device' } }, 'measure is'],
    [{ measure: { kind: 'count', by: 'x' } }, "measure has no 'by'"],
    [{ measure: { kind: 'count' }, filter: [] }, "'filter' is none of"],
    [{ measure: { kind: 'count' }, eventTypes: [] }, 'eventTypes is'],
    [{ measure: { kind: 'count' }, where: [{ field: 'ip', equals: '1' }] }, "'ip' is no field"],
    [{ measure: { kind: 'count' }, where: [{ field: 'country', equals: 1 }] }, 'equals of a filter is'],
    [{ measure: { kind: 'count' }, dimensions: ['country', 'country'] }, 'dimensions is'],
    [{ measure: { kind: 'count' }, dimensions: ['os', 'path', 'country'] }, 'dimensions is'],
    [{ measure: { kind: 'count' }, dimensions: ['path'], cap: 201 }, 'cap is a whole number'],
    [{ measure: { kind: 'count' }, cap: 5 }, 'cap is for metrics with dimensions'],
    [{ measure: { kind: 'count' }, granularities: ['1d'] }, 'granularities are'],
    [[], 'is an object']
  ])('is refused with its reason: %j', (value, reason) => {
    expect(() => parseMeaning(value)).toThrow(reason)
  })

  it('is refused with all reasons at once', () => {
    expect(() => parseMeaning({ cap: 5, granularities: [] })).toThrow(/measure is .*; cap is .*; granularities are/)
  })

  it.each(['Price', '1st', 'a b', '', 'a'.repeat(64), 'events', 'bounce_rate'])('has no name like %j', (name) => {
    expect(() => checkMetricName(name)).toThrow(name)
  })
})
