import { describe, expect, it } from 'vitest'
import { resolveEventTime, uuidV7Time } from './event-time.ts'

const received = Date.UTC(2026, 5, 1, 12)
const at = (offsetMs: number): string => new Date(received + offsetMs).toISOString()
const minute = 60_000

describe('resolveEventTime', () => {
  it('takes the time of the client', () => {
    expect(resolveEventTime({ timestamp: at(-5_000) }, received)).toEqual({
      ok: true,
      timestampMs: received - 5_000,
      sentAtMs: undefined,
      dependsOnReceipt: false
    })
  })

  it('leaves a clock alone that is up to a minute off', () => {
    const time = resolveEventTime({ timestamp: at(-5_000), sentAt: at(-minute) }, received)
    expect(time).toMatchObject({ timestampMs: received - 5_000, dependsOnReceipt: false })
  })

  it.each([
    ['behind', -365 * 24 * 60 * minute],
    ['ahead', 365 * 24 * 60 * minute],
    ['just over a minute behind', -minute - 1]
  ])('corrects a clock that is %s', (_, offMs) => {
    const time = resolveEventTime({ timestamp: at(offMs - 5_000), sentAt: at(offMs) }, received)
    expect(time).toEqual({
      ok: true,
      timestampMs: received - 5_000,
      sentAtMs: received + offMs,
      dependsOnReceipt: true
    })
  })

  it('takes the receipt for a time in the future', () => {
    const time = resolveEventTime({ timestamp: at(1) }, received)
    expect(time).toMatchObject({ timestampMs: received, dependsOnReceipt: true })
  })

  it('takes the time inside a UUIDv7 when the client sends none, and never shifts it', () => {
    const eventId = '019780b3-5400-7abc-9def-0123456789ab'
    const made = 0x0197_80b3_5400
    const time = resolveEventTime({ eventId, sentAt: at(-90 * minute) }, made + 1_000)
    expect(time).toMatchObject({ timestampMs: made, dependsOnReceipt: false })
    expect(resolveEventTime({ eventId }, made - 1)).toMatchObject({ timestampMs: made - 1, dependsOnReceipt: true })
  })

  it('takes the receipt when nothing else is known', () => {
    expect(resolveEventTime({ eventId: 'order-7' }, received)).toMatchObject({
      timestampMs: received,
      dependsOnReceipt: true
    })
  })

  it('names the member that is not a time', () => {
    expect(resolveEventTime({ timestamp: 'yesterday' }, received)).toEqual({ ok: false, member: 'timestamp' })
    expect(resolveEventTime({ timestamp: at(0), sentAt: '' }, received)).toEqual({ ok: false, member: 'sentAt' })
  })
})

describe('uuidV7Time', () => {
  it('reads either case', () => {
    expect(uuidV7Time('019780B3-5400-7ABC-8DEF-0123456789AB')).toBe(0x0197_80b3_5400)
  })

  it.each([
    '019780b3-5400-4abc-9def-0123456789ab',
    '019780b3-5400-7abc-cdef-0123456789ab',
    '019780b3-5400-7abc-9def-0123456789a',
    '019780b3-5400-7abc-9def-0123456789ag',
    '019780b3x5400-7abc-9def-0123456789ab'
  ])('does not take %s for one', (id) => {
    expect(uuidV7Time(id)).toBeUndefined()
  })
})
