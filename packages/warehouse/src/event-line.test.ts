import { describe, expect, it } from 'vitest'
import { enrich, eventColumns, toRowLine } from '@millrace/contracts'
import type { EventRow } from '@millrace/contracts'
import { joinLines } from '@millrace/stores/tab-lines'
import { readLine } from '../test/read-line.ts'
import { createEventLines } from './event-line.ts'

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
const times = new Set(['timestamp', 'sentAt', 'receivedAt', 'appendedAt'])

/** What the other format says of `row`, spelled as this one. */
function expectedOf(given: EventRow): Readonly<Record<string, string | null>> {
  // Numbers of 64 bits lose nothing on the way through text.
  const json = toRowLine(given).replace(/"offset":(\d+)/, '"offset":"$1"')
  const members = Object.entries(JSON.parse(json) as Readonly<Record<string, string | number | boolean | null>>)
  return Object.fromEntries(
    members.map(([name, value]) => {
      if (value === null) return [name, null]
      const text = String(value)
      return [name, times.has(name) ? text.replace('T', ' ').replace('Z', '') : text]
    })
  )
}

describe('line of an event', () => {
  it('holds what its JSON holds, in the order of the columns', () => {
    const toLine = createEventLines()
    const every = String.fromCodePoint(...Array.from({ length: 0x3000 }, (_, code) => code), 0xfffd, 0xffff, 0x10000)
    const url = `${every}😀${String.fromCodePoint(0x10ffff)}\\N`
    for (let step = 0; step < 400; step++) {
      const timestamp = Math.floor((step / 400) * Date.UTC(2100, 0, 1))
      const sentAt = step % 2 === 0 ? null : timestamp - 1
      const given = row({
        userId: '\\N',
        url,
        timestamp,
        sentAt,
        latenessMs: 2 ** (step % 53) * (step % 3 === 0 ? -1 : 1)
      })
      expect(readLine(toLine(given), eventColumns)).toEqual(expectedOf(given))
    }
  })

  it('has room for the longest texts of a row, and half surrogate pairs become the replacement character', () => {
    const toLine = createEventLines()
    const [tabs, wide, half] = ['\t', '✓', '\ud800'].map((unit) => unit.repeat(400_000)) as [string, string, string]
    const lines = [row({ url: tabs }), row({ title: wide }), row({ referrer: half }), row()].map(toLine)
    const read = lines.map((line) => readLine(line, eventColumns))
    expect(read.map(({ url }) => url === tabs)).toEqual([true, false, false, false])
    expect(read.map(({ title }) => title === wide)).toEqual([false, true, false, false])
    expect(read[2]?.['referrer'] === '\ufffd'.repeat(400_000)).toBe(true)
    expect(read.map(({ version }) => version)).toEqual(Array.from({ length: 4 }, () => row().version))
  })
})

describe('lines of a batch', () => {
  it('are pieces of what lies together, in their order', () => {
    const toLine = createEventLines()
    const [a, b, c] = ['a', 'b', 'c'].map((eventId) => toLine(row({ eventId })))
    if (a === undefined || b === undefined || c === undefined) throw new Error('three lines')
    const other = createEventLines()(row({ eventId: 'other' }))
    const textOf = (pieces: readonly Buffer[]): string[] => pieces.map(String)
    const one = (...lines: readonly (typeof a)[]): string =>
      lines.map((line) => line.bytes.toString('utf8', line.start, line.end)).join('')
    expect(textOf(joinLines([a, b, c]))).toEqual([one(a, b, c)])
    expect(textOf(joinLines([a, c]))).toEqual([one(a), one(c)])
    expect(textOf(joinLines([b, other, c]))).toEqual([one(b), one(other), one(c)])
    expect(textOf(joinLines([c, b, a]))).toEqual([one(c), one(b), one(a)])
    expect(joinLines([])).toEqual([])
  })
})
