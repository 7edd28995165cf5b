import { describe, expect, it } from 'vitest'
import { enrich } from '@millrace/contracts'
import { columns, createToRow, dayText } from './to-row.ts'
import type { MetadataPolicy } from './to-row.ts'

const appendedAtMs = Date.UTC(2026, 5, 1, 12, 0, 1)
const at = { topic: 'events.shop', partition: 3, offset: 9_007_199_254_740_993n, appendedAtMs }
const event = {
  eventId: 'e-1',
  eventType: 'view',
  userId: 'u\t"1"',
  timestamp: '2026-05-31T23:59:59.999Z',
  receivedAt: '2026-06-01T12:00:00.000Z',
  properties: { action: 'zoom', price: 19.9, inner: { action: 'x' } },
  context: { page: { url: 'https://shop.example/p/1' } }
}

function row(change: object, policy: MetadataPolicy = 'properties') {
  const made = createToRow(policy, enrich)({ ...at, value: Buffer.from(JSON.stringify({ ...event, ...change })) })
  if (made.kind !== 'item') throw new Error(made.reason)
  const { bytes, start, end } = made.item.line
  const values = bytes.toString('utf8', start, end - 1).split('\t')
  const names = columns.replaceAll('"', '').split(', ')
  expect(values).toHaveLength(names.length)
  return { day: made.item.day, ...Object.fromEntries(names.map((name, index) => [name, values[index]])) } as Record<
    string,
    unknown
  >
}

describe('the row of a record', () => {
  it('has every column, the day of the event time, and null for what the event does not say', () => {
    const { day: _text, ...made } = row({})
    expect(made).toEqual({
      project_id: 'shop',
      event_id: 'e-1',
      event_type: 'view',
      event_action: 'zoom',
      session_id: '\\N',
      user_id: 'u\\t"1"',
      anonymous_id: '\\N',
      timestamp: '2026-05-31 23:59:59.999Z',
      received_at: '2026-06-01 12:00:00.000Z',
      appended_at: '2026-06-01 12:00:01.000Z',
      topic: 'events.shop',
      partition: '3',
      offset: '9007199254740993',
      metadata: '{"action":"zoom","price":19.9,"inner":{"action":"x"}}'
    })
    const value = Buffer.from(JSON.stringify(event))
    const made2 = createToRow('none', enrich)({ ...at, value })
    expect(made2.kind === 'item' && dayText(made2.item.day)).toBe('2026-05-31')
  })

  it.each([
    ['a number', { action: 7 }],
    ['an empty text', { action: '' }],
    ['only deeper down', { inner: { action: 'x' } }],
    ['absent', {}]
  ])('has no action when it is %s', (_what, properties) => {
    expect(row({ properties })['event_action']).toBe('\\N')
  })

  it('keeps as metadata what the policy says', () => {
    expect(row({}, 'none')['metadata']).toBe('{}')
    expect(JSON.parse(String(row({}, 'full')['metadata']))).toMatchObject({
      properties: event.properties,
      url: 'https://shop.example/p/1',
      path: '/p/1',
      isBot: false
    })
  })

  it('holds nothing that jsonb refuses', () => {
    expect(row({ properties: { a: 'x\0', b: '\ud800' } })['metadata']).toBe('{"a":"x\uFFFD","b":"\uFFFD"}')
    expect(row({ userId: 'u\0' })['user_id']).toBe('u\uFFFD')
  })

  it.each(['', 'x', '[]', '{}'])('is left to the processor when the record is %j', (value) => {
    const made = createToRow('properties', enrich)({ ...at, value: Buffer.from(value) })
    expect(made).toEqual({ kind: 'skip', reason: 'invalid' })
  })
})
