import type { KafkaRecord } from '@millrace/kafka'
import { describe, expect, it } from 'vitest'
import { countEventIds, toLetterFacts, toLogFacts } from './evidence.ts'
import { bytesHash } from './ledger.ts'

const record = (value: string | null, headers: Record<string, string> = {}, offset = 0n): KafkaRecord => ({
  topic: 't',
  partition: 1,
  offset,
  key: null,
  value: value === null ? null : Buffer.from(value),
  headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])),
  appendedAtMs: 0
})

describe('toLogFacts', () => {
  it('knows an event by its id and type', () => {
    expect(toLogFacts([record('{"eventId":"a","eventType":"x"}', { dedup: 'unchecked' }, 5n)])).toEqual([
      {
        partition: 1,
        offset: 5n,
        eventId: 'a',
        valueHash: bytesHash('{"eventId":"a","eventType":"x"}'),
        unchecked: true
      }
    ])
  })

  it.each([null, '', 'nope', '[]', 'null', '7', '{"eventId":"a"}', '{"eventId":1,"eventType":"x"}'])(
    'takes %s for no event',
    (value) => expect(toLogFacts([record(value)])[0]?.eventId).toBeUndefined()
  )
})

describe('toLetterFacts', () => {
  it('reads where the record was and why it is dead', () => {
    const headers = {
      'dlq.id': 'process:t:1:9007199254740993',
      'dlq.group': 'process',
      'dlq.partition': '1',
      'dlq.offset': '9007199254740993',
      'dlq.error-class': 'parse'
    }
    expect(toLetterFacts([record('junk', headers)])).toEqual([
      {
        letterId: 'process:t:1:9007199254740993',
        group: 'process',
        partition: 1,
        offset: 9007199254740993n,
        reason: 'parse',
        valueHash: bytesHash('junk')
      }
    ])
  })

  it('keeps a letter without headers, as one that explains nothing', () => {
    expect(toLetterFacts([record(null)])[0]).toMatchObject({ letterId: '', reason: '', offset: -1n })
  })
})

describe('countEventIds', () => {
  it('counts copies and leaves out what is not an event', () => {
    const event = (id: string) => record(JSON.stringify({ eventId: id, eventType: 'x' }))
    expect([...countEventIds([event('a'), event('b'), event('a'), record('junk')])]).toEqual([
      ['a', 2],
      ['b', 1]
    ])
  })
})
