import { describe, expect, it } from 'vitest'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import { metricQuery, sessionQuery, valuesQueries } from './warehouse-query.ts'
import type { WarehouseQuery } from './warehouse-query.ts'

const span = { project: 'shop', fromMs: 0, toMs: 60_000, lengthMs: 60_000 }

describe('a metric as a question to the warehouse', () => {
  it('holds no text of people: those are parameters', () => {
    const evil = `x'); DROP TABLE events; --`
    const { sql, params } = metricQuery(
      {
        name: 'spend',
        version: 1,
        effectiveFromMs: 0,
        eventTypes: [evil],
        where: [{ source: { from: 'property', name: evil }, equals: evil }],
        measure: { kind: 'sum', property: evil },
        dimensions: [{ from: 'column', name: 'country' }],
        cap: 5,
        granularities: ['1m']
      },
      { ...span, project: evil },
      [evil]
    )
    expect(sql).not.toContain('DROP')
    expect(Object.values(params).filter((value) => value === evil).length).toBe(5)
    expect(params['p4']).toEqual([evil])
  })

  it('about many values is as many questions as URLs can carry, the same ones in any order', () => {
    const metric: MetricDefinition = {
      name: 'spend',
      version: 1,
      effectiveFromMs: 0,
      where: [],
      measure: { kind: 'count' },
      dimensions: [{ from: 'property', name: 'plan' }],
      cap: 200,
      granularities: ['1m']
    }
    const values = Array.from({ length: 200 }, (_, number) => [String(number).padStart(256, '\u{1f600}')])
    const queries = valuesQueries(metric, span, values)
    const listOf = ({ params }: WarehouseQuery) =>
      Object.values(params).find((value): value is string[][] => Array.isArray(value) && Array.isArray(value[0])) ?? []
    const sizes = queries.map((query) => new URLSearchParams({ list: JSON.stringify(listOf(query)) }).toString().length)
    expect(queries.length).toBeGreaterThan(1)
    expect(Math.max(...sizes)).toBeLessThan(80_000)
    expect(queries.flatMap(listOf).toSorted()).toEqual(values.toSorted())
    expect(valuesQueries(metric, span, values.toReversed())).toEqual(queries)
    expect(valuesQueries(metric, span, [['DE'], ['FR']]).length).toBe(1)
  })

  it('is refused for sessions under another name', () => {
    expect(() => sessionQuery('events', span, [])).toThrow('no metric of sessions')
  })
})
