import { describe, expect, it } from 'vitest'
import { enrich, replayHeader, toRowLine } from '@millrace/contracts'
import type { KafkaRecord } from '@millrace/kafka'
import { createDecoders } from './decode-records.ts'

const appendedAtMs = Date.UTC(2026, 5, 1)

function processed(headers: KafkaRecord['headers']): KafkaRecord {
  const value = Buffer.from('{"eventId":"e-1","eventType":"view"}')
  const enriched = enrich({ topic: 'events.shop', partition: 0, offset: 0n, value, appendedAtMs })
  if (!enriched.ok) throw new Error(enriched.detail)
  const line = Buffer.from(toRowLine(enriched.row))
  return { topic: 'events.processed.shop', partition: 0, offset: 0n, key: null, value: line, headers, appendedAtMs }
}

describe('the decoder of processed events', () => {
  it('shows an event when it is new, and not when a replay makes it again', () => {
    let broken = 0
    const { events } = createDecoders(() => broken++)
    expect(events(processed({}), () => true)).toMatchObject({ route: 'shop', value: { eventId: 'e-1' } })
    expect(events(processed({ [replayHeader]: Buffer.from('1') }), () => true)).toBeUndefined()
    expect(broken).toBe(0)
  })
})
