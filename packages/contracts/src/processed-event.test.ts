import { describe, expect, it } from 'vitest'
import { enrich } from './enrich.ts'
import { readProcessedEvent } from './processed-event.ts'
import { toRowLine } from './row-line.ts'

const raw = {
  eventId: 'e-1',
  eventType: 'purchase',
  userId: 'ada',
  timestamp: '2026-03-01T12:00:00.000Z',
  receivedAt: '2026-03-01T12:00:00.000Z',
  ip: '192.0.2.7',
  userAgent: 'Mozilla/5.0',
  properties: { amount: 3 }
}

describe('readProcessedEvent', () => {
  it('reads what the processor wrote, and neither address nor user agent', () => {
    const value = Buffer.from(JSON.stringify(raw))
    const appendedAtMs = Date.parse(raw.timestamp)
    const enriched = enrich({ topic: 'events.shop', partition: 0, offset: 0n, value, appendedAtMs })
    if (!enriched.ok) throw new Error(enriched.detail)
    const event = readProcessedEvent(Buffer.from(toRowLine(enriched.row)))
    expect(event).toMatchObject({ eventId: 'e-1', eventType: 'purchase', userId: 'ada', properties: '{"amount":3}' })
    expect(JSON.stringify(event)).not.toMatch(/192\.0\.2\.7|Mozilla/)
  })

  it.each([
    null,
    Buffer.from(''),
    Buffer.from('{'),
    Buffer.from('null'),
    Buffer.from('[]'),
    Buffer.from('{"eventId":1}')
  ])('takes %s for nothing', (value) => {
    expect(readProcessedEvent(value)).toBeUndefined()
  })

  it('takes bytes that are no UTF-8 for nothing', () => {
    expect(readProcessedEvent(Buffer.from([0x22, 0xff, 0x22]))).toBeUndefined()
  })
})
