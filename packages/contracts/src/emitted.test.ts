import { describe, expect, it } from 'vitest'
import { compareRevisions, decodeMetric, decodeSession, encodeMetric, encodeSession } from './emitted.ts'
import type { MetricMessage, SessionMessage } from './emitted.ts'

const metric: MetricMessage = {
  project: 'shop',
  metric: 'events',
  kind: 'count',
  granularity: '1m',
  timestamp: 1_780_315_200_000,
  dimension: '["page_view"]',
  value: 3,
  count: 3,
  capped: false,
  revision: [2, 7],
  final: true
}

const session: SessionMessage = {
  project: 'shop',
  sessionId: 's-1 ✓',
  startedAt: 1_780_315_200_000,
  firstEventAt: 1_780_315_199_000,
  lastEventAt: 1_780_315_260_000,
  totalEvents: 5,
  pageViews: 2,
  hasConversion: true,
  isNew: null,
  userId: '',
  trafficSource: 'direct',
  deviceType: 'desktop',
  country: '',
  entryPage: '/',
  exitPage: '/cart',
  revision: [1, 11],
  final: true
}

const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

describe('messages of metrics', () => {
  it('come back as they were encoded, under a key for each value of a window', () => {
    const { key, value } = encodeMetric(metric)
    expect(key).toBe('shop:1m:1780315200000:["page_view"]')
    expect(decodeMetric(value)).toEqual(metric)
    const { dimension: _none, ...total } = metric
    expect(encodeMetric(total).key).toBe('shop:1m:1780315200000')
    expect(decodeMetric(encodeMetric(total).value)).toEqual(total)
  })

  it('have both parts when they are ratios', () => {
    const ratio = { ...metric, kind: 'ratio' as const, numerator: 1, denominator: 4, value: 0.25 }
    expect(decodeMetric(encodeMetric(ratio).value)).toEqual(ratio)
    expect(decodeMetric(bytes({ ...ratio, numerator: undefined }))).toBeUndefined()
  })

  it.each([
    ['nothing', null],
    ['no JSON', Buffer.from('{')],
    ['another shape', bytes([])],
    ['a value that is no number', bytes({ ...metric, value: '3' })],
    ['half a revision', bytes({ ...metric, revision: [1] })],
    ['a long revision', bytes({ ...metric, revision: [1, 2, 3] })],
    ['a negative revision', bytes({ ...metric, revision: [1, -2] })],
    ['an unknown granularity', bytes({ ...metric, granularity: '1d' })],
    ['no count', bytes({ ...metric, count: undefined })]
  ])('are not read from %s', (_what, value) => {
    expect(decodeMetric(value)).toBeUndefined()
  })

  it('may have members of later versions', () => {
    expect(decodeMetric(bytes({ ...metric, later: 1 }))).toMatchObject(metric)
  })
})

describe('messages of sessions', () => {
  it('come back as they were encoded, under the id of the session', () => {
    const { key, value } = encodeSession(session)
    expect(key).toBe('s-1 ✓')
    expect(decodeSession(value)).toEqual(session)
  })

  it.each([
    ['nothing', null],
    ['a metric', bytes(metric)],
    ['a hint that is no hint', bytes({ ...session, isNew: 'no' })],
    ['an open session', bytes({ ...session, final: false })]
  ])('are not read from %s', (_what, value) => {
    expect(decodeSession(value)).toBeUndefined()
  })
})

describe('revisions', () => {
  it('compare by epoch, then by number', () => {
    expect(compareRevisions([2, 1], [1, 9])).toBeGreaterThan(0)
    expect(compareRevisions([1, 3], [1, 4])).toBeLessThan(0)
    expect(compareRevisions([1, 3], [1, 3])).toBe(0)
  })
})
