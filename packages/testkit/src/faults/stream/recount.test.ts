import { describe, expect, it } from 'vitest'
import { makeEvent } from './make-events.ts'
import { recount } from './recount.ts'
import type { RawEntry } from './recount.ts'

const hour = 1_700_000_400_000 - (1_700_000_400_000 % 3_600_000)

/** Records of one partition: each an event, or bytes, and how long after the event it was appended. */
function logOf(...records: readonly (readonly [Parameters<typeof makeEvent>[0] | string, number?])[]): RawEntry[] {
  return records.map(([what, delayMs = 0], index) => {
    const isText = typeof what === 'string'
    const value = isText ? Buffer.from(what) : makeEvent(what).value
    const appendedAtMs = (isText ? hour : what.atMs) + delayMs
    return { partition: 0, offset: BigInt(index), value, appendedAtMs }
  })
}

const options = { latenessMs: 10_000 }

describe('recount', () => {
  it('counts one on-time copy of each event and says what it left out', () => {
    const event = { eventId: 'a', eventType: 'page_view', atMs: hour + 1, path: '/a', sessionId: 's' }
    const late = { eventId: 'b', eventType: 'page_view', atMs: hour + 2 }
    const log = logOf([event, 10_001], [event, 5], [event, 9], [late, 10_001], ['no event'], ['{"eventId":1}'])
    const { counts, windows } = recount(log, options)
    expect(counts).toEqual({ records: 6, events: 1, copies: 2, late: 2, notEvents: 2, badValues: 0 })
    const events = windows.get(`events:1m:${hour}`)
    expect(events?.events).toBe(1)
    expect([...(events?.values.keys() ?? [])]).toEqual(['', '["page_view"]'])
    expect(windows.get(`page_views:1h:${hour}`)?.values.get('["/a"]')?.count).toBe(1)
  })

  it('takes the time of a wrong clock from what the client says it was when it sent', () => {
    const receivedAt = new Date(hour).toISOString()
    const year = 365 * 86_400_000
    const ahead = new Date(hour + year).toISOString()
    const parts = { eventType: 'e', atMs: hour, receivedAt }
    const log = logOf(
      [{ ...parts, eventId: 'shifted', timestamp: ahead, sentAt: ahead }],
      [{ ...parts, eventId: 'clamped', timestamp: ahead }],
      [{ ...parts, eventId: 'number', timestamp: hour }],
      [{ ...parts, eventId: 'ancient', timestamp: '0001-01-01T00:00:00Z' }]
    )
    const { counts, windows } = recount(log, options)
    expect(counts).toMatchObject({ events: 2, notEvents: 2 })
    expect([...windows.keys()].filter((name) => name.startsWith('events:1m'))).toEqual([`events:1m:${hour}`])
  })

  it('adds money in millionths and users apart from anonymous ones', () => {
    const buy = (eventId: string, revenue: unknown, more: object = {}) =>
      [{ eventId, eventType: 'purchase', atMs: hour, properties: { revenue }, ...more }] as const
    const log = logOf(
      buy('a', 1.25, { userId: 'x' }),
      buy('b', -0.5, { anonymousId: 'x' }),
      buy('c', '3'),
      buy('d', 2e9),
      buy('e', null)
    )
    const { windows, counts } = recount(log, options)
    expect(counts.badValues).toBe(2)
    expect(windows.get(`revenue:1m:${hour}`)?.values.get('')).toMatchObject({ count: 2, sum: 750_000n })
    expect(windows.get(`active_users:1m:${hour}`)?.values.get('')?.members.size).toBe(2)
  })

  it('makes a session of its events in the order of time, ties by id', () => {
    const at = (eventId: string, atMs: number, more: object = {}) =>
      [{ eventId, eventType: 'page_view', atMs, sessionId: 's', ...more }] as const
    const log = logOf(
      at('c', hour + 9, { path: '/last', userId: '' }),
      at('b', hour, { path: '/b', userId: 'u' }),
      at('a', hour, { eventType: 'purchase' })
    )
    expect([...recount(log, options).sessions.values()]).toEqual([
      {
        sessionId: 's',
        firstEventAt: hour,
        lastEventAt: hour + 9,
        totalEvents: 3,
        pageViews: 2,
        hasConversion: true,
        userId: 'u',
        trafficSource: 'direct',
        deviceType: '',
        country: '',
        entryPage: '/b',
        exitPage: '/last'
      }
    ])
  })
})
