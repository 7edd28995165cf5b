import { describe, expect, it } from 'vitest'
import { readMetricQuestion } from './metric-question.ts'

const nowMs = Date.UTC(2026, 0, 31, 10, 30, 20)
const read = (query: Readonly<Record<string, unknown>>, metric = 'events') =>
  readMetricQuestion('shop', metric, query, nowMs)
const question = (query: Readonly<Record<string, unknown>>, metric = 'events') => {
  const found = read(query, metric)
  if (!found.ok) throw new Error(found.detail)
  const { fromMs, toMs, granularity, dimension } = found.question
  return [new Date(fromMs).toISOString(), new Date(toMs).toISOString(), granularity, dimension]
}

describe('a question about a metric', () => {
  it('has the windows in which the span lies, the first one as a whole', () => {
    expect(question({ startTime: '2026-01-31T08:15:00Z', endTime: '2026-01-31T09:10:00Z' })).toEqual([
      '2026-01-31T08:00:00.000Z',
      '2026-01-31T09:10:00.000Z',
      '1h',
      undefined
    ])
    expect(question({ startTime: '2026-01-30', endTime: String(nowMs), granularity: '1d', dimension: 'a' })).toEqual([
      '2026-01-30T00:00:00.000Z',
      '2026-01-31T10:30:20.000Z',
      '1d',
      ['a']
    ])
  })

  it('has a usual span and length of windows when it says nothing', () => {
    expect(question({})).toEqual(['2026-01-30T11:00:00.000Z', '2026-01-31T10:30:20.000Z', '1h', undefined])
    expect(question({ granularity: '1m' })[0]).toBe('2026-01-31T09:31:00.000Z')
    expect(question({}, 'daily_active_users').slice(0, 3)).toEqual([
      '2026-01-25T00:00:00.000Z',
      '2026-01-31T10:30:20.000Z',
      '1d'
    ])
  })

  it('means the days of a zone when it names one', () => {
    const zoned = { granularity: '1d', timezone: 'America/New_York', startTime: '2026-01-30', endTime: '2026-01-31' }
    expect(question(zoned).slice(0, 2)).toEqual(['2026-01-30T05:00:00.000Z', '2026-01-31T05:00:00.000Z'])
    expect(read(zoned)).toMatchObject({ zone: 'America/New_York' })
    expect(read({ ...zoned, granularity: '1h' })).toMatchObject({ zone: undefined })
    expect(read({ ...zoned, dimensions: 'eventType' })).toMatchObject({ ok: false, parameter: 'timezone' })
  })

  it('may ask for the values of dimensions apart', () => {
    expect(read({ dimensions: 'country,path', limit: '5' })).toMatchObject({
      split: { names: ['country', 'path'], limit: 5 }
    })
    expect(read({ dimension: ['DE', '/'] })).toMatchObject({ split: undefined, question: { dimension: ['DE', '/'] } })
  })

  it.each([
    [{ startTime: 'yesterday' }, 'startTime'],
    [{ endTime: '2026-13-01' }, 'endTime'],
    [{ startTime: '2026-02-01', endTime: '2026-01-01' }, 'startTime'],
    [{ startTime: '0000-01-01T00:00:00Z', granularity: '1m' }, 'startTime'],
    [{ startTime: '1969-12-30T23:59:59Z', timezone: 'Pacific/Kwajalein', granularity: '1d' }, 'startTime'],
    [{ granularity: '5m' }, 'granularity'],
    [{ timezone: 'Mars/Olympus' }, 'timezone'],
    [{ dimensions: '' }, 'dimensions'],
    [{ dimensions: 'eventType', dimension: 'x' }, 'dimensions'],
    [{ limit: '0' }, 'limit'],
    [{ project: 'other' }, 'project']
  ])('names what is wrong with %j', (query, parameter) => {
    expect(read(query)).toMatchObject({ ok: false, parameter })
  })
})
