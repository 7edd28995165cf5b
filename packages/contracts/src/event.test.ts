import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkEvent, decodeEvent, eventSchema, gatewayFields } from './event.ts'
import type { ClientEvent, EventContext } from './event.ts'

const now = Date.UTC(2026, 5, 1, 12)
const decode = (text: string) => decodeEvent(Buffer.from(text), now)
const refusal = (text: string): unknown[] => {
  const decision = decode(text)
  return decision.ok ? ['accepted'] : [decision.status, decision.code, decision.pointer]
}

/** Compiles only while it names exactly the members of the interface, so the schema is compared with the types. */
const members: Record<keyof Required<ClientEvent>, true> = {
  eventId: true,
  eventType: true,
  userId: true,
  anonymousId: true,
  sessionId: true,
  timestamp: true,
  sentAt: true,
  properties: true,
  context: true
}
const contextMembers: Record<keyof Required<EventContext>, true> = {
  page: true,
  campaign: true,
  userAgent: true,
  ip: true,
  locale: true,
  library: true
}

const full = {
  eventId: 'e-1',
  eventType: 'page_view',
  userId: 'u',
  anonymousId: 'a',
  sessionId: 's',
  timestamp: '2026-06-01T11:59:59Z',
  sentAt: '2026-06-01T12:00:00Z',
  properties: { price: 1.5, tags: ['x'], nested: { deep: null } },
  context: {
    page: { url: 'https://shop.example/', path: '/', referrer: '', title: 'Shop' },
    campaign: { source: 'mail', medium: 'email', name: 'june', term: '', content: '' },
    userAgent: 'x',
    ip: '192.0.2.1',
    locale: 'de-CH',
    library: { name: 'millrace-js', version: '1.0.0' }
  }
}

describe('event schema', () => {
  it('describes exactly the members of the types', () => {
    expect(Object.keys(eventSchema.properties).sort()).toEqual(Object.keys(members).sort())
    expect(Object.keys(eventSchema.properties.context.properties).sort()).toEqual(Object.keys(contextMembers).sort())
  })
})

describe('decodeEvent', () => {
  it('accepts an event with every member', () => {
    expect(decode(JSON.stringify(full))).toEqual({
      ok: true,
      event: full,
      time: {
        ok: true,
        timestampMs: Date.parse(full.timestamp),
        sentAtMs: Date.parse(full.sentAt),
        dependsOnReceipt: false
      }
    })
  })

  it('accepts the smallest event and whitespace around it', () => {
    expect(refusal(' \r\n\t{"eventType":"a"}\n ')).toEqual(['accepted'])
  })

  it.each([
    ['{', [400, 'invalid_json', '']],
    ['', [400, 'invalid_json', '']],
    ['{"eventType":"a"}{}', [400, 'invalid_json', '']],
    ['null', [422, 'not_an_object', '']],
    ['[]', [422, 'not_an_object', '']],
    ['"x"', [422, 'not_an_object', '']],
    ['{}', [422, 'missing_field', '/eventType']],
    ['{"eventType":""}', [422, 'invalid_field', '/eventType']],
    ['{"eventType":"page view"}', [422, 'invalid_field', '/eventType']],
    ['{"eventType":7}', [422, 'invalid_field', '/eventType']],
    [`{"eventType":"${'a'.repeat(101)}"}`, [422, 'invalid_field', '/eventType']],
    ['{"eventType":"a","eventId":""}', [422, 'invalid_field', '/eventId']],
    [`{"eventType":"a","eventId":"${'i'.repeat(129)}"}`, [422, 'invalid_field', '/eventId']],
    ['{"eventType":"a","userId":7}', [422, 'invalid_field', '/userId']],
    ['{"eventType":"a","eventid":"x"}', [422, 'unknown_field', '/eventid']],
    ['{"eventType":"a","a/b~c":1}', [422, 'unknown_field', '/a~1b~0c']],
    ['{"eventType":"a","context":{"page":{"colour":"red"}}}', [422, 'unknown_field', '/context/page/colour']],
    ['{"eventType":"a","context":{"page":"x"}}', [422, 'invalid_field', '/context/page']],
    ['{"eventType":"a","properties":[]}', [422, 'invalid_field', '/properties']],
    ['{"eventType":"a","properties":{"n":9007199254740993}}', [422, 'number_out_of_range', '/properties/n']],
    ['{"eventType":"a","__proto__":{"x":1}}', [422, 'forbidden_key', '/__proto__']],
    ['{"eventType":"a","context":{"__proto__":1}}', [422, 'forbidden_key', '/context/__proto__']],
    ['{"eventType":"a","properties":{"__proto__":1}}', [422, 'forbidden_key', '/properties/__proto__']],
    ['{"eventType":"a","timestamp":"2026-06-01"}', [422, 'invalid_time', '/timestamp']],
    ['{"eventType":"a","timestamp":1}', [422, 'invalid_field', '/timestamp']],
    ['{"eventType":"a","sentAt":"now"}', [422, 'invalid_time', '/sentAt']],
    ['{"eventType":"a","timestamp":"2021-05-31T00:00:00Z"}', [422, 'event_too_old', '/timestamp']],
    ['{"eventType":"a","eventId":"00000000-0000-7000-8000-000000000000"}', [422, 'event_too_old', '/eventId']],
    [String.raw`{"eventType":"a","eventId":"x\ud800"}`, [422, 'malformed_text', '/eventId']]
  ])('refuses %s', (text, expected) => {
    expect(refusal(text)).toEqual(expected)
  })

  it.each(gatewayFields)('refuses the member %s of the gateway, however it is written', (field) => {
    expect(refusal(`{"eventType":"a","${field}":"x"}`)).toEqual([422, 'gateway_field', `/${field}`])
    const escaped = `\\u00${field.charCodeAt(0).toString(16)}${field.slice(1)}`
    expect(refusal(`{"eventType":"a","${escaped}":"x"}`)).toEqual([422, 'gateway_field', `/${field}`])
  })

  it('refuses what is larger than 256 KiB as it was sent, and accepts what is exactly as large', () => {
    const sized = (bytes: number): string => `{"eventType":"a"}`.padEnd(bytes, ' ')
    expect(refusal(sized(256 * 1024))).toEqual(['accepted'])
    expect(refusal(sized(256 * 1024 + 1))).toEqual([413, 'event_too_large', ''])
  })

  it('refuses bytes that are not UTF-8', () => {
    const body = Buffer.concat([Buffer.from('{"eventType":"a","userId":"'), Buffer.from([0xff]), Buffer.from('"}')])
    expect(decodeEvent(body, now)).toMatchObject({ ok: false, status: 400, code: 'invalid_utf8' })
  })

  it('refuses ten thousand levels with a pointer of the first level too many', () => {
    const text = `{"eventType":"a","properties":{"x":${'['.repeat(10_000)}${']'.repeat(10_000)}}}`
    expect(refusal(text)).toEqual([422, 'too_deep', `/properties/x${'/0'.repeat(31)}`])
  })

  it('refuses the thousand and first key', () => {
    const keys = (count: number): string => Array.from({ length: count }, (_, index) => `"k${index}":1`).join(',')
    expect(refusal(`{"eventType":"a","properties":{${keys(1_000)}}}`)).toEqual(['accepted'])
    expect(refusal(`{"eventType":"a","properties":{${keys(1_001)}}}`)).toEqual([422, 'too_many_keys', '/properties'])
  })

  it('judges the age of the corrected time: a device whose clock starts in 1970 is heard', () => {
    const reset = { eventType: 'a', timestamp: '1970-01-01T00:01:00Z', sentAt: '1970-01-01T00:01:05Z' }
    expect(decode(JSON.stringify(reset))).toMatchObject({ ok: true, time: { timestampMs: now - 5_000 } })
  })

  it('takes the last of equal keys', () => {
    expect(decode('{"eventType":"a","eventType":"b"}')).toMatchObject({ ok: true, event: { eventType: 'b' } })
  })

  it('does not quote the body in a refusal of its form', () => {
    expect(JSON.stringify(decode('{"secret":"hunter2",}'))).not.toContain('hunter2')
  })

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeEvent(Buffer.from(bytes), now)).toHaveProperty('ok')
      })
    )
  })

  it('never throws, whatever the JSON', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(decodeEvent(Buffer.from(text), now)).toHaveProperty('ok')
      })
    )
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom(...Object.keys(members), '__proto__', 'x'), fc.jsonValue()),
        (value) => {
          expect(checkEvent(value, now)).toHaveProperty('ok')
        }
      )
    )
  })
})
