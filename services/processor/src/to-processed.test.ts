import { describe, expect, it } from 'vitest'
import { enrich, replayHeader } from '@millrace/contracts'
import { createToProcessed } from './to-processed.ts'
import type { RawEvent } from './to-processed.ts'

const record = (value: string | null, change: Partial<RawEvent> = {}): RawEvent => ({
  topic: 'events.shop',
  partition: 3,
  offset: 42n,
  key: Buffer.from('e-1'),
  value: value === null ? null : Buffer.from(value),
  appendedAtMs: Date.UTC(2026, 5, 1),
  ...change
})

const toProcessed = createToProcessed(enrich)

describe('createToProcessed', () => {
  it('keeps key and partition and names the raw coordinates', () => {
    const processed = toProcessed(record('{"eventId":"e-1","eventType":"purchase"}'))
    expect(processed).toMatchObject({
      kind: 'item',
      item: {
        topic: 'events.processed.shop',
        partition: 3,
        key: Buffer.from('e-1'),
        headers: {
          'raw.topic': 'events.shop',
          'raw.partition': '3',
          'raw.offset': '42',
          'raw.append-time': '1780272000000'
        }
      }
    })
    const value = processed.kind === 'item' ? processed.item.value.toString() : ''
    expect(value).not.toContain('\n')
    expect(JSON.parse(value)).toMatchObject({ projectId: 'shop', eventId: 'e-1', eventType: 'purchase', offset: 42 })
  })

  it('marks what a replay makes again, beside the raw coordinates', () => {
    const again = createToProcessed(enrich, { [replayHeader]: '1' })
    const processed = again(record('{"eventId":"e-1","eventType":"purchase"}'))
    expect(processed).toMatchObject({ item: { headers: { replay: '1', 'raw.offset': '42' } } })
  })

  it.each([
    ['not JSON', 'hello', 'parse', 'not an event: the value is not JSON'],
    ['empty', '', 'parse', 'not an event: the value is empty'],
    ['a tombstone', null, 'parse', 'not an event: the record has no value'],
    ['of another shape', '{"a":1}', 'schema', "not an event: the value must have required property 'eventId'"]
  ])('writes the letter of a record that is %s', (_, value, reason, message) => {
    expect(toProcessed(record(value))).toMatchObject({
      kind: 'dead',
      reason,
      cause: { code: 'PIPE_NOT_AN_EVENT', message }
    })
  })

  it('drops a forged letter that names a topic of no project', () => {
    expect(toProcessed(record('{}', { topic: 'events.dlq.shop' }))).toEqual({ kind: 'skip', reason: 'invalid' })
  })
})
