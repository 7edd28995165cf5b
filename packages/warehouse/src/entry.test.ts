import { describe, expect, it } from 'vitest'
import { enrich, rowVersion, ENRICH_VERSION } from '@millrace/contracts'
import { createToEntry } from './entry.ts'

const appendedAtMs = Date.UTC(2026, 5, 1)
const record = { topic: 'events.shop', partition: 0, offset: 7n, appendedAtMs }
const toEntry = createToEntry(enrich)

describe('entry of a record', () => {
  it('has the row of the event as one line, and what is folded over a batch', () => {
    const value = '{"eventId":"e","eventType":"a","userId":"u","timestamp":"2026-05-31T23:59:00Z"}'
    const entry = toEntry({ ...record, value: Buffer.from(value) })
    if (entry.kind !== 'item') throw new Error('an item is expected')
    const { event, ...rest } = entry.item
    expect(JSON.parse(event)).toMatchObject({ projectId: 'shop', eventId: 'e', offset: 7 })
    expect(event).not.toContain('\n')
    expect(rest).toEqual({
      projectId: 'shop',
      userId: 'u',
      anonymousId: '',
      timestampMs: appendedAtMs - 60_000,
      link: undefined
    })
  })

  it('is a link when the event names a user and a device, ranked like its row', () => {
    const value = '{"eventId":"e \\"1\\"","eventType":"a","userId":"u","anonymousId":"d"}'
    const entry = toEntry({ ...record, value: Buffer.from(value) })
    expect(entry.kind === 'item' && JSON.parse(entry.item.link ?? '')).toEqual({
      projectId: 'shop',
      anonymousId: 'd',
      eventId: 'e "1"',
      userId: 'u',
      timestamp: '2026-06-01T00:00:00.000Z',
      version: rowVersion(ENRICH_VERSION, appendedAtMs, 7n)
    })
  })

  it.each(['', 'x', '[]', '{}'])('leaves %j to the processor, which writes its letter', (value) => {
    expect(toEntry({ ...record, value: Buffer.from(value) })).toEqual({ kind: 'skip', reason: 'invalid' })
  })
})
