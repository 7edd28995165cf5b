import { describe, expect, it } from 'vitest'
import { metricQuery, sessionQuery } from './warehouse-query.ts'

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

  it('is refused for sessions under another name', () => {
    expect(() => sessionQuery('events', span, [])).toThrow('no metric of sessions')
  })
})
