import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { eventColumns } from './columns.ts'
import { decodeEvent } from './event.ts'
import { ENRICH_VERSION, createEnrich, enrich, rowVersion } from './enrich.ts'
import type { RawRecord } from './enrich.ts'
import { spliceRawEvent } from './raw-event.ts'

const received = Date.UTC(2026, 5, 1, 12)
const receivedAt = new Date(received).toISOString()
const record = (value: string | Buffer | null, change: Partial<RawRecord> = {}): RawRecord => ({
  topic: 'events.demo',
  partition: 3,
  offset: 4_097n,
  appendedAtMs: received + 40,
  value: typeof value === 'string' ? Buffer.from(value) : value,
  ...change
})
const event = (change: object = {}): string =>
  JSON.stringify({ eventId: 'e-1', eventType: 'page_view', receivedAt, projectId: 'demo', ...change })
const reasonOf = (value: string | Buffer | null, change?: Partial<RawRecord>): unknown => {
  const result = enrich(record(value, change))
  return result.ok ? 'a row' : `${result.reason}: ${result.detail}`
}

describe('enrich', () => {
  it('makes a row of a full event', () => {
    const value = event({
      userId: 'u',
      anonymousId: 'a',
      sessionId: 's',
      timestamp: '2026-06-01T11:59:55.250Z',
      sentAt: '2026-06-01T11:59:59Z',
      properties: { price: 19.9, näme: '"✓"', list: [1, null] },
      context: {
        page: { url: 'https://shop.example/p/7?ref=x', referrer: 'https://shop.example/', title: 'Mug' },
        campaign: { source: 'june', medium: 'email', name: 'sale', term: 't', content: 'c' },
        userAgent: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/17.5 Safari/605.1',
        ip: '198.51.100.7',
        locale: 'de-CH',
        library: { name: 'millrace-js', version: '1.2.3' }
      },
      ip: '192.0.2.1',
      userAgent: 'curl/8'
    })
    expect(enrich(record(value))).toEqual({
      ok: true,
      dependsOnReceipt: false,
      row: {
        projectId: 'demo',
        eventId: 'e-1',
        eventType: 'page_view',
        userId: 'u',
        anonymousId: 'a',
        sessionId: 's',
        timestamp: received - 4_750,
        sentAt: received - 1_000,
        receivedAt: received,
        appendedAt: received + 40,
        latenessMs: 4_790,
        url: 'https://shop.example/p/7?ref=x',
        path: '/p/7',
        referrer: 'https://shop.example/',
        title: 'Mug',
        campaignSource: 'june',
        campaignMedium: 'email',
        campaignName: 'sale',
        campaignTerm: 't',
        campaignContent: 'c',
        trafficSource: 'email',
        userAgent: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/17.5 Safari/605.1',
        deviceType: 'desktop',
        os: 'macOS',
        browser: 'Safari',
        isBot: false,
        ip: '198.51.100.7',
        country: '',
        locale: 'de-CH',
        libraryName: 'millrace-js',
        libraryVersion: '1.2.3',
        properties: '{"price":19.9,"näme":"\\"✓\\"","list":[1,null]}',
        schemaVersion: 0,
        enrichVersion: 2,
        topic: 'events.demo',
        partition: 3,
        offset: 4_097n,
        version: '46751024469082110'
      }
    })
  })

  it('has exactly the columns of the table, in their order', () => {
    const result = enrich(record(event()))
    expect(result.ok && Object.keys(result.row)).toEqual(eventColumns.map(({ name }) => name))
  })

  it('takes the project from the topic, whatever the record says', () => {
    expect(enrich(record(event({ projectId: 'other' })))).toMatchObject({ row: { projectId: 'demo' } })
  })

  it('takes the gateway fields that were spliced in last', () => {
    const body = Buffer.from('{"eventType":"a","sentAt":"2026-06-01T12:00:00Z","timestamp":"2026-06-01T11:00:00Z"}')
    expect(decodeEvent(body, received).ok).toBe(true)
    const sentAt = '2026-06-01T10:00:00Z'
    const raw = spliceRawEvent(body, { projectId: 'demo', receivedAt, eventId: 'made', sentAt, userAgent: 'curl/8' })
    expect(enrich(record(raw))).toMatchObject({
      row: { eventId: 'made', userAgent: 'curl/8', isBot: true, timestamp: received + 3_600_000 - 3_600_000 }
    })
  })

  it('takes the campaign from the URL, unless the client names one', () => {
    const page = { url: 'https://shop.example/a/?utm_source=june&utm_medium=cpc&gclid=1' }
    expect(enrich(record(event({ context: { page } })))).toMatchObject({
      row: { path: '/a', campaignSource: 'june', campaignMedium: 'cpc', campaignName: '', trafficSource: 'paid' }
    })
    expect(enrich(record(event({ context: { page, campaign: { name: 'own' } } })))).toMatchObject({
      row: { campaignSource: '', campaignMedium: '', campaignName: 'own', trafficSource: 'paid' }
    })
  })

  it.each([
    [{ country: 'de' }, 'DE'],
    [{ country: 'XX' }, ''],
    [{ country: 'XX', ip: '192.0.2.1' }, 'AT'],
    [{ ip: '192.0.2.1' }, 'AT'],
    [{ ip: 'unknown' }, ''],
    [{ country: 'DE', ip: '192.0.2.1' }, 'DE'],
    [{ country: 'DE', context: { ip: '192.0.2.1' } }, 'AT'],
    [{ country: 'DE', context: { ip: 'unknown' } }, ''],
    [{}, '']
  ])('finds the country of an event with %j to be %j', (change, country) => {
    const enrichAll = createEnrich({ countryOf: (ip) => (ip === '192.0.2.1' ? 'AT' : '') })
    expect(enrichAll(record(event(change)))).toMatchObject({ row: { country } })
  })

  it('knows no country of an address without a database', () => {
    expect(enrich(record(event({ ip: '192.0.2.1' })))).toMatchObject({ row: { country: '', ip: '192.0.2.1' } })
    expect(createEnrich()(record(event({ ip: '192.0.2.1' })))).toMatchObject({ row: { country: '' } })
  })

  it('takes the append time for a record that did not come through a gateway', () => {
    const value = event({ receivedAt: undefined })
    expect(enrich(record(value))).toMatchObject({ row: { receivedAt: received + 40, timestamp: received + 40 } })
  })

  it('keeps unknown members of later versions out of its way', () => {
    expect(reasonOf(event({ consent: { ads: true }, context: { screen: { width: 1 } } }))).toBe('a row')
  })

  it('puts the replacement character for half a surrogate pair in free text, and keeps it escaped in properties', () => {
    const value = String.raw`{"eventId":"e","eventType":"a","properties":{"t":"\ud800"},"context":{"page":{"title":"x\udc00"}}}`
    expect(enrich(record(value))).toMatchObject({ row: { title: 'x\ufffd', properties: String.raw`{"t":"\ud800"}` } })
  })

  it.each<[string, string | Buffer | null, string]>([
    ['a tombstone', null, 'parse: the record has no value'],
    ['an empty value', '', 'parse: the value is empty'],
    ['text', 'hello', 'parse: the value is not JSON'],
    ['bytes', Buffer.from([0xff, 0xfe]), 'parse: the value is not UTF-8'],
    ['a byte order mark', '\ufeff{}', 'parse: the value is not JSON'],
    ['a megabyte of brackets', '['.repeat(1 << 20), 'parse: the value is not JSON'],
    ['a megabyte of nested arrays', '['.repeat(1 << 19) + ']'.repeat(1 << 19), 'schema: the value must be object'],
    ['null', 'null', 'schema: the value must be object'],
    ['a number', '9007199254740993', 'schema: the value must be object'],
    ['another object', '{"a":1}', "schema: the value must have required property 'eventId'"],
    ['a wrong type', event({ userId: 7 }), 'schema: /userId must be string'],
    ['a wrong event type', event({ eventType: 'a"b' }), 'schema: /eventType must match pattern "^[A-Za-z0-9_.:-]+$"'],
    ['properties of a wrong type', event({ properties: [] }), 'schema: /properties must be object'],
    ['half a surrogate pair in an id', event({ eventId: '\ud800' }), 'schema: /eventId holds half of a surrogate pair'],
    ['a huge number', event({ properties: { n: 2 ** 60 } }), 'schema: /properties/n number_out_of_range'],
    [
      'a prototype',
      '{"eventId":"e","eventType":"a","properties":{"__proto__":1}}',
      'schema: /properties/__proto__ forbidden_key'
    ],
    ['a wrong time', event({ timestamp: 'x' }), 'schema: /timestamp is not an ISO 8601 date and time with a zone'],
    ['a time before 1970', event({ timestamp: '1969-12-31T23:59:59Z' }), 'schema: /timestamp is before 1970'],
    [
      'a receipt in a far future',
      event({ receivedAt: '2100-01-01T00:00:00Z' }),
      'schema: /receivedAt is not a time from 1970 to 2100'
    ],
    ['a request sent in 1960', event({ sentAt: '1960-01-01T00:00:00Z' }), 'schema: /sentAt is not from 1970 to 2100']
  ])('says why %s is not an event', (_, value, reason) => {
    expect(reasonOf(value)).toBe(reason)
  })

  it('refuses ten thousand levels inside properties and ignores them elsewhere', () => {
    const deep = `${'['.repeat(10_000)}${']'.repeat(10_000)}`
    const inside = `{"eventId":"e","eventType":"a","properties":{"x":${deep}}}`
    expect(reasonOf(inside)).toBe(`schema: /properties/x${'/0'.repeat(31)} too_deep`)
    expect(reasonOf(`{"eventId":"e","eventType":"a","y":${deep}}`)).toBe('a row')
  })

  it('refuses a topic that is not a raw topic, and an append time out of range', () => {
    expect(reasonOf(event(), { topic: 'events.dlq.demo' })).toBe(
      'constraint: the topic is not a raw topic of a project'
    )
    expect(reasonOf(event(), { appendedAtMs: -1 })).toBe('constraint: the append time is out of range')
  })

  it('never throws, whatever the bytes, and gives the same answer again', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const raw = record(Buffer.from(bytes))
        expect(enrich(raw)).toEqual(enrich(raw))
      })
    )
  })

  it('never throws, whatever the JSON in the place of an event', () => {
    const member = fc.constantFrom(
      'eventId',
      'eventType',
      'userId',
      'timestamp',
      'sentAt',
      'receivedAt',
      'properties',
      'context'
    )
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom('a', 'page_view', receivedAt, '2026-06-01T12:00:00+23:59'))
    fc.assert(
      fc.property(fc.dictionary(member, value), (object) => {
        expect(enrich(record(JSON.stringify(object)))).toHaveProperty('ok')
      })
    )
  })

  it('makes a row of everything that the edge accepts', () => {
    const text = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' })
    const accepted = fc.record(
      {
        eventType: fc.stringMatching(/^[A-Za-z0-9_.:-]{1,20}$/),
        userId: text,
        timestamp: fc
          .date({ min: new Date(0), max: new Date('2099-01-01'), noInvalidDate: true })
          .map((d) => d.toISOString()),
        sentAt: fc
          .date({ min: new Date(0), max: new Date('2099-01-01'), noInvalidDate: true })
          .map((d) => d.toISOString()),
        properties: fc.dictionary(text, fc.jsonValue()),
        context: fc.record(
          { page: fc.record({ url: fc.webUrl(), title: text }), userAgent: text },
          { requiredKeys: [] }
        )
      },
      { requiredKeys: ['eventType'] }
    )
    let rows = 0
    fc.assert(
      fc.property(accepted, (object) => {
        const body = Buffer.from(JSON.stringify(object))
        if (!decodeEvent(body, received).ok) return
        rows++
        const raw = spliceRawEvent(body, { projectId: 'demo', receivedAt, eventId: 'made' })
        expect(enrich(record(raw))).toMatchObject({ ok: true, row: { eventId: 'made' } })
      })
    )
    expect(rows).toBeGreaterThan(10)
  })
})

describe('rowVersion', () => {
  it('ranks a newer enrichment above every older row', () => {
    expect(BigInt(rowVersion(2, received + 1e9, 4_095n))).toBeGreaterThan(BigInt(rowVersion(1, 0, 0n)))
  })

  it('ranks the first append highest, then the lowest offset', () => {
    const ranks = [
      rowVersion(ENRICH_VERSION, received, 7n),
      rowVersion(ENRICH_VERSION, received, 8n),
      rowVersion(ENRICH_VERSION, received + 1, 0n)
    ].map(BigInt)
    expect(ranks).toEqual(ranks.toSorted((left, right) => (left < right ? 1 : -1)))
    expect(new Set(ranks).size).toBe(3)
  })

  it('fits 64 bits at its ends', () => {
    expect(BigInt(rowVersion(1_023, 0, 0n))).toBe(2n ** 64n - 1n)
    expect(rowVersion(0, 2 ** 42 - 1, 4_095n)).toBe('0')
  })
})
