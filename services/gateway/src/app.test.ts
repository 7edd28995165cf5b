import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { createFaults } from '@millrace/service'
import table from '../test/fixtures/responses.json' with { type: 'json' }
import { badInputs } from '../test/bad-input.ts'
import { createAcceptEvents } from './accept.ts'
import { createGatewayApp } from './app.ts'
import type { Admission, Dedup } from './dedup.ts'
import { toEventDedup, toEventLog } from './event-dedup.ts'
import { gatewayMetrics } from './metrics.ts'
import { defaultProjectSettings } from '@millrace/contracts'
import type { KeyDecision, ProjectContext } from '@millrace/contracts'
import type { OutgoingEvent, Publisher, PublishOutcome } from './publish.ts'

interface World {
  readonly dedup?: string | undefined
  readonly log?: string | undefined
  readonly random?: () => number
}

const startMs = Date.UTC(2026, 2, 1)
const url = '/v1/events'
const goodHeaders = { authorization: 'Bearer good', 'content-type': 'application/json' }

/** The app over fakes that answer as told, with everything they were asked. */
function setup({ dedup: dedupSays, log: logSays, random = () => 0 }: World = {}) {
  const published: OutgoingEvent[] = []
  const holds: string[] = []
  const stop = new AbortController()
  const clock = createManualClock(startMs)
  const registry = createRegistry()
  const metrics = bindMetrics(gatewayMetrics, registry)
  const dedup: Dedup = {
    admit: async () => admission(dedupSays, holds),
    [Symbol.asyncDispose]: async () => {}
  }
  const publisher: Publisher = {
    publish: async (event) => {
      const outcome = publishOutcome(logSays)
      if (outcome.kind === 'acked') published.push(event)
      return outcome
    },
    queuedBytes: () => 0,
    [Symbol.asyncDispose]: async () => {}
  }
  const accept = createAcceptEvents({
    dedup: toEventDedup(dedup),
    log: toEventLog(publisher),
    clock,
    faults: createFaults(undefined, false),
    maxEventBytes: 256 * 1024,
    gates: [],
    onReceived: (type) => metrics.received.add(1, { type }),
    onUnchecked: () => metrics.unchecked.add(1)
  })
  const app = createGatewayApp({
    accept,
    keys: { authenticate: async (key) => keyDecision(key) },
    clock,
    metrics,
    random,
    collect: { ip: false, userAgent: true },
    log: createSilentLogger(),
    signal: stop.signal,
    trustProxy: false,
    maxEventBytes: 256 * 1024
  })
  const send = (body: string | Buffer, headers: Record<string, string> = goodHeaders) =>
    app.inject({ method: 'POST', url, headers, payload: body })
  const series = async (): Promise<string[]> =>
    (await registry.metrics()).split('\n').filter((line) => /^analytics_\w+_total/.test(line))
  return { app, send, published, holds, stop, series }
}

function admission(says: string | undefined, holds: string[]): Admission {
  if (says === 'duplicate' || says === 'busy') return { kind: says }
  return {
    kind: 'admitted',
    hold: {
      checked: says !== 'down',
      commit: async () => void holds.push('commit'),
      release: async () => void holds.push('release')
    }
  }
}

function publishOutcome(says: string | undefined): PublishOutcome {
  switch (says) {
    case undefined:
      return { kind: 'acked' }
    case 'unknown':
      return { kind: 'unknown' }
    case 'not_stored':
    case 'queue_full':
    case 'stopping':
      return { kind: 'unavailable', reason: says }
    default:
      return { kind: 'refused', code: says }
  }
}

function keyDecision(key: string): KeyDecision<ProjectContext> {
  if (key === 'good') return { kind: 'ok', projectId: 'demo', logGeneration: 0, settings: defaultProjectSettings }
  return { kind: key === 'readonly' ? 'forbidden' : key === 'away' ? 'unavailable' : 'invalid' }
}

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
    const { app, published } = setup(row)
    const response = await app.inject({
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
    const { send, published, holds } = setup()
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
    const { send, published } = setup()
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
    const { send, published } = setup()
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
      const { send, holds } = setup({ log })
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
    const { send, published, holds } = setup()
    await send(table.body)
    published[0]?.onLateAck?.()
    expect(holds).toEqual(['commit', 'commit'])
  })

  it('spreads Retry-After', async () => {
    const { send } = setup({ log: 'unknown', random: () => 0.99 })
    expect((await send(table.body)).headers['retry-after']).toBe('9')
  })

  it('says which method an address takes', async () => {
    const { app } = setup()
    const response = await app.inject({ method: 'DELETE', url: '/v1/events?x=1' })
    expect([response.statusCode, response.headers['allow']]).toEqual([405, 'POST'])
  })

  it('ends the connection with the reply while it stops', async () => {
    const { send, stop } = setup()
    expect((await send(table.body)).headers['connection']).toBe('keep-alive')
    stop.abort()
    expect((await send(table.body)).headers['connection']).toBe('close')
  })

  it('counts every request by what became of it', async () => {
    const { send, series } = setup()
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
