import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeEvent } from './event.ts'
import { spliceRawEvent } from './raw-event.ts'
import type { RawFields } from './raw-event.ts'

const receivedAt = '2026-06-01T12:00:00.000Z'
const splice = (body: string, fields: Partial<RawFields> = {}): string =>
  spliceRawEvent(Buffer.from(body), { projectId: 'demo', receivedAt, ...fields }).toString()

describe('spliceRawEvent', () => {
  it('puts the fields of the gateway behind the bytes of the client, which stay as they are', () => {
    expect(splice('{ "eventType" : "a",\n"properties":{"n":1.50} }')).toBe(
      `{ "eventType" : "a",\n"properties":{"n":1.50} ,"projectId":"demo","receivedAt":"${receivedAt}"}`
    )
  })

  it('drops whitespace behind the object', () => {
    expect(splice('{"a":1} \r\n\t')).toBe(`{"a":1,"projectId":"demo","receivedAt":"${receivedAt}"}`)
  })

  it.each(['{}', '{ \n }'])('writes no comma into the empty object %j', (body) => {
    expect(JSON.parse(splice(body))).toEqual({ projectId: 'demo', receivedAt })
  })

  it('wins over every field that the client wrote', () => {
    const fields = {
      projectId: 'demo',
      receivedAt,
      eventId: 'made',
      sentAt: receivedAt,
      ip: '192.0.2.1',
      userAgent: 'x"y'
    }
    const client = Object.fromEntries(Object.keys(fields).map((key) => [key, 'forged']))
    expect(JSON.parse(splice(JSON.stringify(client), fields))).toEqual(fields)
  })

  it('leaves out what is not given', () => {
    expect(splice('{"a":1}', { ip: undefined })).not.toContain('ip')
  })

  it.each(['', '[]', '{"a":1', '   ', '}'])('refuses %j, which is no object', (body) => {
    expect(() => splice(body)).toThrow('does not end in a JSON object')
  })

  it('keeps the value of every event and adds to it', () => {
    const event = fc.record({
      eventType: fc.constant('a'),
      userId: fc.string({ minLength: 1, maxLength: 50, unit: 'grapheme' }),
      properties: fc.dictionary(fc.string(), fc.oneof(fc.string({ unit: 'binary' }), fc.boolean(), fc.integer()))
    })
    fc.assert(
      fc.property(event, fc.constantFrom('', ' ', '\n\n'), fc.constantFrom(undefined, 2), (value, tail, indent) => {
        const body = JSON.stringify(value, null, indent) + tail
        const decision = decodeEvent(Buffer.from(body), Date.UTC(2026, 5, 1))
        if (!decision.ok) return
        expect(JSON.parse(splice(body))).toEqual({ ...decision.event, projectId: 'demo', receivedAt })
      })
    )
  })
})
