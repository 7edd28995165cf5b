import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { problemCatalog } from '@millrace/contracts'
import { badInputs } from '../test/bad-input.ts'
import { goodHeaders, openFakeGateway } from '../test/fake-gateway.ts'
import type { World } from '../test/fake-gateway.ts'
import { expectedOf, outcomeOf, plainNames, requestOf, rows } from '../test/response-table.ts'
import type { Row } from '../test/response-table.ts'

const good = '{"eventId":"e1","eventType":"page_view"}'

describe('the response table', () => {
  it.each(rows)('answers $status to $name', async (row) => {
    const { request, published } = openFakeGateway(sceneOf(row))
    const { method, path, headers, body } = requestOf(row, plainNames)
    const response = await request({
      method,
      url: path,
      headers,
      ...(body === undefined ? {} : { payload: body })
    })
    const header = (name: string): string | undefined => response.headers[name]?.toString()
    expect(outcomeOf(row, response.statusCode, header, response.payload)).toEqual(expectedOf(row, plainNames))
    expect(header('retry-after')).toBe(row.retryAfter === undefined ? undefined : String(row.retryAfter))
    expect(published).toHaveLength(row.stored)
    expect(published[0]?.headers).toEqual(row.header)
  })

  it('speaks of every code that intake answers', () => {
    const codes = new Set(rows.flatMap(({ code, items }) => [code, ...(items ?? []).map((item) => codeOf(item))]))
    for (const { code } of badInputs) codes.add(code)
    const others = ['conflict', 'duplicate', 'internal', 'invalid_request']
    const missing = Object.keys(problemCatalog).filter((code) => !codes.has(code) && !others.includes(code))
    expect(missing.filter((code) => !code.startsWith('query_'))).toEqual([])
  })
})

/** A schema that refuses every event, one that cannot be looked up, and a drop rule. */
const schemaGates = {
  dropped: {
    kind: 'rejected',
    refusal: { ok: false, status: 422, code: 'event_dropped', pointer: '/eventType', detail: 'dropped' }
  },
  mismatch: {
    kind: 'rejected',
    refusal: {
      ok: false,
      status: 422,
      code: 'schema_mismatch',
      pointer: '/properties/amount',
      detail: 'breaks version 3',
      expected: 'number',
      version: 3
    }
  },
  unknown: { kind: 'retry', code: 'unavailable', reason: 'schema_unknown', eventId: 'e1' }
} as const

function sceneOf({ dedup, log, busy, limited, schema, corsOrigins }: Row): World {
  const turnedAway = { kind: 'turned-away', reason: 'bytes', retryAfterMs: 6_001 } as const
  return {
    dedup,
    log,
    ...(schema === undefined ? {} : { gates: [() => [schemaGates[schema]]] }),
    ...(busy === true ? { admission: { enter: () => turnedAway } } : {}),
    ...(limited === true ? { exhausted: { scope: 'project', retryAfterMs: 2_500 } } : {}),
    ...(corsOrigins === undefined ? {} : { settings: { corsOrigins } })
  }
}

function codeOf(item: object): string | undefined {
  return 'code' in item ? String(item.code) : undefined
}

describe('bad input', () => {
  it.each(badInputs)('answers $status $code to $name, publishes nothing, and takes the next event', async (bad) => {
    const { send, published, holds } = openFakeGateway()
    const response = await send(bad.body)
    const { status, code, pointer } = response.json<{ status: number; code: string; pointer?: string }>()
    expect({ status: response.statusCode, body: { status, code, pointer: pointer ?? null } }).toEqual({
      status: bad.status,
      body: { status: bad.status, code: bad.code, pointer: bad.pointer }
    })
    expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8')
    expect(published).toEqual([])
    expect(holds).toEqual([])
    expect((await send(good)).statusCode).toBe(202)
  })
})

describe('bad input in a batch of lines', () => {
  const oneLine = badInputs.filter(({ body, status }) => body.length > 3 && status !== 413 && !body.includes(10))

  it.each(oneLine)('$name is refused alone', async ({ body, code, pointer }) => {
    const { send, published } = openFakeGateway()
    const lines = Buffer.concat([Buffer.from(`${good}\n`), body, Buffer.from(`\n${good.replace('e1', 'e2')}\n`)])
    const response = await send(lines, { ...goodHeaders, 'content-type': 'application/x-ndjson' }, '/v1/events/batch')
    const { items } = response.json<{ items: { status: string; code?: string; pointer?: string }[] }>()
    expect([response.statusCode, items.map(({ status }) => status)]).toEqual([
      207,
      ['accepted', 'rejected', 'accepted']
    ])
    expect(items[1]).toMatchObject({ code, pointer })
    expect(published.map(({ eventId }) => eventId)).toEqual(['e1', 'e2'])
  })
})

describe('the gateway', () => {
  it('stores the bytes of the client with its own fields last', async () => {
    const { send, published } = openFakeGateway()
    await send('{"eventId":"e1","eventType":"a","properties":{"n":1.10}}\n', { ...goodHeaders, 'user-agent': 'curl/8' })
    expect(published.map(({ project, eventId, value }) => [project, eventId, value.toString()])).toEqual([
      [
        'demo',
        'e1',
        '{"eventId":"e1","eventType":"a","properties":{"n":1.10},' +
          '"userAgent":"curl/8","projectId":"demo","receivedAt":"2026-03-01T00:00:00.000Z"}'
      ]
    ])
  })

  it('makes an eventId where there is none, stores it and says that a repeat is not recognised', async () => {
    const { send, published } = openFakeGateway()
    const response = await send('{"eventType":"a"}')
    const { status, eventId, hint } = response.json<{ status: string; eventId: string; hint: string }>()
    expect(response.statusCode).toBe(202)
    expect(status).toBe('accepted')
    expect(eventId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/)
    expect(hint).toContain('without this one')
    expect(published[0]?.eventId).toBe(eventId)
    expect((JSON.parse(published[0]?.value.toString() ?? '') as { eventId: string }).eventId).toBe(eventId)
  })

  it('commits after an ack, releases after a certain refusal, and leaves the lease when in doubt', async () => {
    const ends: Record<string, readonly string[]> = {}
    for (const log of [undefined, 'unknown', 'not_stored', 'MESSAGE_TOO_LARGE', 'INVALID_RECORD']) {
      const { send, holds } = openFakeGateway({ log })
      await send(good)
      ends[log ?? 'acked'] = holds
    }
    expect(ends).toEqual({
      acked: ['commit'],
      unknown: [],
      not_stored: ['release'],
      MESSAGE_TOO_LARGE: ['release'],
      INVALID_RECORD: ['release']
    })
  })

  it('commits an event whose ack comes after its answer', async () => {
    const { send, published, holds } = openFakeGateway()
    await send(good)
    published[0]?.onLateAck?.()
    expect(holds).toEqual(['commit', 'commit'])
  })

  it.each([
    ['the first address that a trusted proxy names', true, '203.0.113.7, 10.0.0.1', '203.0.113.7'],
    ['the address of the connection when the proxy names none', true, undefined, '127.0.0.1'],
    ['the address of the connection where no proxy is trusted', false, '203.0.113.7', '127.0.0.1']
  ])('stores %s when it is to', async (_name, trustProxy, forwarded, ip) => {
    const { send, published } = openFakeGateway({ collectIp: true, trustProxy })
    await send(good, forwarded === undefined ? goodHeaders : { ...goodHeaders, 'x-forwarded-for': forwarded })
    expect((JSON.parse(published[0]?.value.toString() ?? '') as { ip: string }).ip).toBe(ip)
  })

  it.each([
    ['at', 'AT'],
    ['XX', undefined],
    ['Atlantis', undefined]
  ])('stores the country %s of the header it is told to read as %s', async (told, country) => {
    const { send, published } = openFakeGateway({ countryHeader: 'x-country' })
    await send(good, { ...goodHeaders, 'X-Country': told, 'cf-ipcountry': 'CH' })
    expect((JSON.parse(published[0]?.value.toString() ?? '') as { country?: string }).country).toBe(country)
  })

  it('stores no country unless it is told where to read it', async () => {
    const { send, published } = openFakeGateway()
    await send(good, { ...goodHeaders, 'cf-ipcountry': 'CH' })
    expect(published[0]?.value.toString()).not.toContain('country')
  })

  it('gives the room of a request back whatever becomes of it, and knows its decoded size', async () => {
    const room: string[] = []
    const admission: World['admission'] = {
      enter: (projectId, bytes) => {
        room.push(`enter ${projectId} ${bytes}`)
        return {
          kind: 'admitted',
          resize: (next) => void room.push(`resize ${next}`),
          release: () => void room.push('release')
        }
      }
    }
    const { send } = openFakeGateway({ admission })
    const zipped = gzipSync(`${good}${' '.repeat(100)}`)
    await send(zipped, { ...goodHeaders, 'content-encoding': 'gzip' })
    await send('{', goodHeaders)
    await send('{"writeKey":"mr_w_bad","events":[]}', {}, '/v1/events/batch')
    expect(room).toEqual([
      `enter demo ${zipped.length}`,
      // Both are there while it is decoded.
      `resize ${zipped.length + good.length + 100}`,
      `resize ${good.length + 100}`,
      'release',
      'enter demo 1',
      'release',
      'enter undefined 35',
      'release'
    ])
  })

  it('answers 503 to a body that outgrows the room there is, and says when there will be more', async () => {
    let released = 0
    const turnedAway = { kind: 'turned-away', reason: 'project_bytes', retryAfterMs: 6_001 } as const
    const resize = (bytes: number) => (bytes > 1_000 ? turnedAway : undefined)
    const admission: World['admission'] = {
      enter: () => ({ kind: 'admitted', resize, release: () => void released++ })
    }
    const { send, published, series } = openFakeGateway({ admission })
    const response = await send(gzipSync(`${good}${' '.repeat(2_000)}`), { ...goodHeaders, 'content-encoding': 'gzip' })
    expect([response.statusCode, response.headers['retry-after'], released]).toEqual([503, '7', 1])
    expect(response.json()).toMatchObject({ code: 'unavailable' })
    expect(published).toEqual([])
    expect(await series()).toContain('analytics_events_unavailable_total{reason="project_bytes"} 1')
  })

  it('spreads Retry-After', async () => {
    const { send } = openFakeGateway({ log: 'unknown', random: () => 0.99 })
    expect((await send(good)).headers['retry-after']).toBe('10')
  })

  it('says which method an address takes', async () => {
    const { request } = openFakeGateway()
    const response = await request({ method: 'DELETE', url: '/v1/events?x=1' })
    expect([response.statusCode, response.headers['allow']]).toEqual([405, 'POST, OPTIONS'])
  })

  it('ends the connection with the reply while it stops', async () => {
    const { send, stop } = openFakeGateway()
    expect((await send(good)).headers['connection']).toBe('keep-alive')
    stop.abort()
    expect((await send(good)).headers['connection']).toBe('close')
  })

  it('counts every request by what became of it', async () => {
    const { send, series } = openFakeGateway()
    await send(good)
    await send('{}')
    await send(good, {})
    expect((await series()).filter((line) => !line.endsWith(' 0'))).toEqual([
      'analytics_events_received_total{type="page_view"} 1',
      'analytics_events_queued_total 1',
      'analytics_events_rejected_total{code="missing_field"} 1',
      'analytics_events_rejected_total{code="unauthorized"} 1',
      'analytics_api_requests_total{endpoint="events",status="202"} 1',
      'analytics_api_requests_total{endpoint="events",status="422"} 1',
      'analytics_api_requests_total{endpoint="events",status="401"} 1'
    ])
  })
})
