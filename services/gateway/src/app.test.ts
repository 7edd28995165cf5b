import { describe, expect, it } from 'vitest'
import table from '../test/fixtures/responses.json' with { type: 'json' }
import { badInputs } from '../test/bad-input.ts'
import { goodHeaders, openFakeGateway } from '../test/fake-gateway.ts'

const url = '/v1/events'

interface Row {
  readonly name: string
  readonly method?: 'GET' | 'POST'
  readonly path?: string
  readonly headers?: Record<string, string>
  readonly body?: string
  readonly dedup?: string
  readonly log?: string
  readonly status: number
  readonly reply?: object
  readonly code?: string
  readonly pointer?: string
  readonly eventId?: string
  readonly retryAfter?: number
  readonly stored: number
  readonly header?: Record<string, string>
}

// The JSON type is a union over all rows; every row has this form.
const rows = table.cases as readonly Row[]

describe('the response table', () => {
  it.each(rows)('answers $status to $name', async (row) => {
    const { request, published } = openFakeGateway(row)
    const response = await request({
      method: row.method ?? 'POST',
      url: row.path ?? url,
      headers: row.headers ?? goodHeaders,
      ...(row.method === 'GET' ? {} : { payload: row.body ?? table.body })
    })
    expect(response.statusCode).toBe(row.status)
    expect(response.headers['retry-after']).toBe(row.retryAfter === undefined ? undefined : String(row.retryAfter))
    if (row.reply !== undefined) {
      expect(response.headers['content-type']).toBe('application/json; charset=utf-8')
      expect(response.json()).toEqual(row.reply)
    } else {
      expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8')
      const { status, code, pointer, eventId } = response.json<Row>()
      expect({ status, code, pointer, eventId }).toEqual({
        status: row.status,
        code: row.code,
        pointer: row.pointer,
        eventId: row.eventId
      })
    }
    expect(published).toHaveLength(row.stored)
    expect(published[0]?.headers).toEqual(row.header)
  })
})

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
    expect((await send(table.body)).statusCode).toBe(202)
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
      await send(table.body)
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
    await send(table.body)
    published[0]?.onLateAck?.()
    expect(holds).toEqual(['commit', 'commit'])
  })

  it('spreads Retry-After', async () => {
    const { send } = openFakeGateway({ log: 'unknown', random: () => 0.99 })
    expect((await send(table.body)).headers['retry-after']).toBe('10')
  })

  it('says which method an address takes', async () => {
    const { request } = openFakeGateway()
    const response = await request({ method: 'DELETE', url: '/v1/events?x=1' })
    expect([response.statusCode, response.headers['allow']]).toEqual([405, 'POST, OPTIONS'])
  })

  it('ends the connection with the reply while it stops', async () => {
    const { send, stop } = openFakeGateway()
    expect((await send(table.body)).headers['connection']).toBe('keep-alive')
    stop.abort()
    expect((await send(table.body)).headers['connection']).toBe('close')
  })

  it('counts every request by what became of it', async () => {
    const { send, series } = openFakeGateway()
    await send(table.body)
    await send('{}')
    await send(table.body, {})
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
