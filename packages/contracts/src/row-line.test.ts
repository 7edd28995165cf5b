import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { eventColumns } from './columns.ts'
import type { EventRow } from './columns.ts'
import { enrich } from './enrich.ts'
import { toRowLine } from './row-line.ts'

const sample = enrich({
  topic: 'events.demo',
  partition: 1,
  offset: 9_007_199_254_740_993n,
  appendedAtMs: Date.UTC(2026, 5, 1),
  value: Buffer.from('{"eventId":"e","eventType":"a"}')
})
const row = (change: Partial<EventRow> = {}): EventRow => {
  if (!sample.ok) throw new Error(sample.detail)
  return { ...sample.row, ...change }
}

describe('toRowLine', () => {
  it('writes the columns in their order, on one line', () => {
    const line = toRowLine(row({ title: 'a\nb\u2028' }))
    expect(line).not.toContain('\n')
    expect(Object.keys(JSON.parse(line) as object)).toEqual(eventColumns.map(({ name }) => name))
  })

  it('writes times in UTC, 64-bit numbers without loss, and absent values', () => {
    const line = toRowLine(row({ sentAt: null }))
    expect(line).toContain('"timestamp":"2026-06-01T00:00:00.000Z","sentAt":null,')
    expect(line).toContain('"offset":9007199254740993,')
    expect(line).toMatch(/"version":"\d+"}$/)
    expect(line).toContain('"isBot":false,"ip":"",')
  })

  it('keeps every text', () => {
    const text = fc.string({ unit: 'binary' })
    fc.assert(
      fc.property(text, text, text, (userId, url, properties) => {
        expect(JSON.parse(toRowLine(row({ userId, url, properties })))).toMatchObject({ userId, url, properties })
      })
    )
  })
})
