import { describe, expect, it } from 'vitest'
import { eventColumns, enrich, rowVersion, ENRICH_VERSION } from '@millrace/contracts'
import type { Line } from '@millrace/stores/tab-lines'
import { createToEntry } from './entry.ts'
import { identityLinkColumns } from './identity-link.ts'
import { readLine } from '../test/read-line.ts'

const appendedAtMs = Date.UTC(2026, 5, 1)
const record = { topic: 'events.shop', partition: 0, offset: 7n, appendedAtMs }
const toEntry = createToEntry(enrich)
const itemOf = (value: string) => {
  const entry = toEntry({ ...record, value: Buffer.from(value) })
  if (entry.kind !== 'item') throw new Error('an item is expected')
  return entry.item
}

describe('entry of a record', () => {
  it('has the row of the event as one line, and what is folded over a batch', () => {
    const { event, ...rest } = itemOf('{"eventId":"e","eventType":"a","userId":"u","timestamp":"2026-05-31T23:59:00Z"}')
    expect(readLine(event, eventColumns)).toMatchObject({ projectId: 'shop', eventId: 'e', offset: '7' })
    expect(rest).toEqual({
      projectId: 'shop',
      userId: 'u',
      anonymousId: '',
      timestampMs: appendedAtMs - 60_000,
      link: undefined
    })
  })

  it('is a link when the event names a user and a device, keyed by what it says', () => {
    const { link } = itemOf('{"eventId":"e \\"1\\"\\t","eventType":"a","userId":"u","anonymousId":"d"}')
    expect(readLine(link as Line, identityLinkColumns)).toEqual({
      projectId: 'shop',
      anonymousId: 'd',
      eventId: 'e "1"\t',
      userId: 'u',
      timestamp: '2026-06-01 00:00:00.000',
      version: rowVersion(ENRICH_VERSION, appendedAtMs, 7n),
      fact: `${appendedAtMs} u`
    })
  })

  it('keeps its bytes when others are made after it', () => {
    const first = itemOf('{"eventId":"first","eventType":"a"}')
    const held = readLine(first.event, eventColumns)
    for (let index = 0; index < 10_000; index++) itemOf(`{"eventId":"${index}","eventType":"a"}`)
    expect(readLine(first.event, eventColumns)).toEqual(held)
  })

  it.each(['', 'x', '[]', '{}'])('leaves %j to the processor, which writes its letter', (value) => {
    expect(toEntry({ ...record, value: Buffer.from(value) })).toEqual({ kind: 'skip', reason: 'invalid' })
  })
})
