import { describe, expect, it } from 'vitest'
import { parseLiveRequest } from './live-request.ts'

const parse = (value: unknown) => parseLiveRequest(typeof value === 'string' ? value : JSON.stringify(value))
const problemOf = (value: unknown) => {
  const parsed = parse(value)
  return parsed.ok ? 'ok' : `${parsed.problem.code} ${parsed.problem.pointer}`
}

describe('parseLiveRequest', () => {
  it('reads each kind of subscription and fills in what is left out', () => {
    const subscriptions = [
      { to: 'metrics', metric: 'events' },
      { to: 'metrics', metric: 'events', granularity: '1h', dimension: ['purchase'], windows: 3 },
      { to: 'sessions' },
      { to: 'events' },
      { to: 'events', sample: 0.5, eventTypes: ['b', 'a', 'b'] }
    ].map((body) => {
      const parsed = parse({ type: 'subscribe', id: 'x', ...body })
      return parsed.ok && parsed.request.type === 'subscribe' && parsed.request.subscription
    })
    expect(subscriptions).toEqual([
      { to: 'metrics', metric: 'events', granularity: '1m', dimension: undefined, windows: 60 },
      { to: 'metrics', metric: 'events', granularity: '1h', dimension: ['purchase'], windows: 3 },
      { to: 'sessions' },
      { to: 'events', sample: 1, eventTypes: [] },
      { to: 'events', sample: 0.5, eventTypes: ['a', 'b'] }
    ])
    expect(parse({ type: 'ping' })).toEqual({ ok: true, request: { type: 'ping' } })
    expect(parse({ type: 'unsubscribe', id: 'x' })).toEqual({ ok: true, request: { type: 'unsubscribe', id: 'x' } })
  })

  it.each([
    ['', 'invalid_json '],
    ['{', 'invalid_json '],
    ['[]', 'invalid_request '],
    ['null', 'invalid_request '],
    ['"subscribe"', 'invalid_request '],
    ['{}', 'invalid_field /type'],
    ['{"__proto__":{"type":"ping"}}', 'invalid_field /type'],
    ['{"type":"ping","__proto__":1}', 'unknown_field /__proto__'],
    [{ type: 'subscribe', to: 'metrics', metric: 'events' }, 'missing_field /id'],
    [{ type: 'subscribe', id: 'x'.repeat(65), to: 'sessions' }, 'invalid_field /id'],
    [{ type: 'subscribe', id: '', to: 'sessions' }, 'invalid_field /id'],
    [{ type: 'subscribe', id: 'x', to: 'secrets' }, 'invalid_field /to'],
    [{ type: 'subscribe', id: 'x', to: 'sessions', all: true }, 'unknown_field /all'],
    [{ type: 'subscribe', id: 'x', to: 'metrics' }, 'invalid_field /metric'],
    [{ type: 'subscribe', id: 'x', to: 'metrics', metric: '../x' }, 'invalid_field /metric'],
    [{ type: 'subscribe', id: 'x', to: 'metrics', metric: 'e', granularity: '1d' }, 'invalid_field /granularity'],
    [{ type: 'subscribe', id: 'x', to: 'metrics', metric: 'e', windows: 121 }, 'invalid_field /windows'],
    [{ type: 'subscribe', id: 'x', to: 'metrics', metric: 'e', windows: 1.5 }, 'invalid_field /windows'],
    [{ type: 'subscribe', id: 'x', to: 'metrics', metric: 'e', dimension: 'a' }, 'invalid_field /dimension'],
    [{ type: 'subscribe', id: 'x', to: 'metrics', metric: 'e', dimension: [] }, 'invalid_field /dimension'],
    [{ type: 'subscribe', id: 'x', to: 'metrics', metric: 'e', dimension: [1] }, 'invalid_field /dimension'],
    [{ type: 'subscribe', id: 'x', to: 'events', sample: 0 }, 'invalid_field /sample'],
    [{ type: 'subscribe', id: 'x', to: 'events', sample: '1' }, 'invalid_field /sample'],
    [{ type: 'subscribe', id: 'x', to: 'events', eventTypes: 'a' }, 'invalid_field /eventTypes'],
    [{ type: 'subscribe', id: 'x', to: 'events', eventTypes: Array(51).fill('a') }, 'invalid_field /eventTypes']
  ])('refuses %j with a pointer', (message, expected) => {
    expect(problemOf(message)).toBe(expected)
  })

  it('names the subscription that a refusal is about', () => {
    expect(parse({ type: 'subscribe', id: 'mine', to: 'x' })).toMatchObject({ ok: false, id: 'mine' })
  })
})
