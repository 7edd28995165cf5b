import { describe, expect, it } from 'vitest'
import { enrich } from '@millrace/contracts'
import { createToLine } from './to-line.ts'

const record = { topic: 'events.shop', partition: 0, offset: 7n, appendedAtMs: Date.UTC(2026, 5, 1) }

const toLine = createToLine(enrich)

describe('createToLine', () => {
  it('is the row of an event as one line', () => {
    const line = toLine({ ...record, value: Buffer.from('{"eventId":"e","eventType":"a"}') })
    expect(line.kind === 'item' && JSON.parse(line.item)).toMatchObject({ projectId: 'shop', eventId: 'e', offset: 7 })
  })

  it.each(['', 'x', '[]', '{}'])('leaves %j to the processor, which writes its letter', (value) => {
    expect(toLine({ ...record, value: Buffer.from(value) })).toEqual({ kind: 'skip', reason: 'invalid' })
  })
})
