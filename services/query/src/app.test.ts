import { beforeAll, describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { createQueryApp } from './app.ts'
import { createBulkhead } from './bulkhead.ts'
import { queryMetrics } from './metrics.ts'
import type { QueryRequest } from './run-query.ts'
import { loadGate } from './sql/gate.ts'

beforeAll(loadGate)

const keys = {
  good: { kind: 'ok', projectId: 'demo' },
  write: { kind: 'forbidden' },
  away: { kind: 'unavailable' }
} as const
const auth = { authorization: 'Bearer good' }

function setup(run: (request: QueryRequest) => Promise<unknown[][]> = async () => [[3]]) {
  const seen: QueryRequest[] = []
  const clock = createManualClock()
  const app = createQueryApp({
    keys: { authenticate: (raw) => Object.entries(keys).find(([name]) => name === raw)?.[1] ?? { kind: 'invalid' } },
    run: async (request) => {
      seen.push(request)
      const rows = await run(request)
      return {
        columns: [{ name: 'count()', type: 'UInt64' }],
        rows,
        rowCount: rows.length,
        stats: { elapsedMs: 1, readRows: 3, readBytes: 30 }
      }
    },
    bulkhead: createBulkhead({ running: 1, queued: 0, waitMs: 1_000, clock }),
    metrics: bindMetrics(queryMetrics, createRegistry()),
    log: createSilentLogger(),
    clock
  })
  const get = (sql: string, headers: Record<string, string> = auth) =>
    app.inject({ url: '/v1/query', query: { sql }, headers })
  const post = (payload: object, headers: Record<string, string> = auth) =>
    app.inject({ method: 'POST', url: '/v1/query', payload, headers })
  return { app, seen, get, post }
}

describe('/v1/query', () => {
  it('answers columns, rows and statistics, and asks for the project of the key', async () => {
    const { get, seen } = setup()
    const response = await get("SELECT COUNT(*) FROM events WHERE eventType='purchase'")
    expect([response.statusCode, response.headers['x-cache'], response.json()]).toEqual([
      200,
      'BYPASS',
      {
        columns: [{ name: 'count()', type: 'UInt64' }],
        rows: [[3]],
        rowCount: 1,
        stats: { elapsedMs: 1, readRows: 3, readBytes: 30 }
      }
    ])
    expect(seen[0]).toMatchObject({
      projectId: 'demo',
      sql: "SELECT COUNT(*) FROM events WHERE eventType = 'purchase'"
    })
  })

  it('binds values sent with POST', async () => {
    const { post, seen } = setup()
    const response = await post({
      sql: 'SELECT count() FROM events WHERE eventType = {t:String}',
      params: { t: "it's" }
    })
    expect([response.statusCode, seen[0]?.params]).toEqual([200, { t: "it's" }])
  })

  it.each([
    ['no key', {}, 401, 'unauthorized'],
    ['an unknown key', { 'x-api-key': 'nope' }, 401, 'unauthorized'],
    ['a write key', { 'x-api-key': 'write' }, 403, 'forbidden'],
    ['a key nobody can check now', { 'x-api-key': 'away' }, 503, 'unavailable']
  ])('turns away %s', async (_name, headers, status, code) => {
    const { get, seen } = setup()
    const response = await get('SELECT 1', headers)
    expect([response.statusCode, response.headers['content-type'], response.json()]).toMatchObject([
      status,
      'application/problem+json; charset=utf-8',
      { code }
    ])
    expect(seen).toEqual([])
  })

  it.each([
    [
      'a table that is not there',
      { sql: 'SELECT * FROM secrets' },
      422,
      'query_refused',
      { position: { line: 1, column: 15 } }
    ],
    ['no text', { sql: 7 }, 422, 'missing_field', { pointer: '/sql' }],
    ['another member', { sql: 'SELECT 1', project: 'x' }, 422, 'unknown_field', { pointer: '/project' }],
    ['a value that is missing', { sql: 'SELECT {a:String}' }, 422, 'invalid_field', { pointer: '/params/a' }],
    [
      'a value of no type',
      { sql: 'SELECT {a:String}', params: { a: { b: 1 } } },
      422,
      'invalid_field',
      { pointer: '/params/a' }
    ],
    ['values that are no object', { sql: 'SELECT 1', params: [1] }, 422, 'invalid_field', { pointer: '/params' }]
  ])('refuses %s and says where', async (_name, payload, status, code, extra) => {
    const { post, seen } = setup()
    const response = await post(payload)
    expect([response.statusCode, response.json()]).toMatchObject([status, { code, ...extra }])
    expect(seen).toEqual([])
  })

  it('answers broken JSON, a huge body and an unknown address with problems', async () => {
    const { app } = setup()
    const headers = { ...auth, 'content-type': 'application/json' }
    const send = (payload: string, url = '/v1/query') => app.inject({ method: 'POST', url, headers, payload })
    expect((await send('{"sql":')).json()).toMatchObject({ status: 400, code: 'invalid_json' })
    expect((await send(JSON.stringify({ sql: 'x'.repeat(2_000_000) }))).json()).toMatchObject({
      status: 413,
      code: 'body_too_large'
    })
    expect((await send('{}', '/v2')).json()).toMatchObject({ status: 404, code: 'not_found' })
    const proto = await send('{"sql":"SELECT 1","__proto__":{"admin":true}}')
    expect([proto.statusCode, proto.headers['content-type']]).toEqual([400, 'application/problem+json; charset=utf-8'])
  })

  it.each([
    [new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'refused'), 503, 'unavailable'],
    [new AppError('PIPE_CLICKHOUSE_QUERY', 'x', { details: { code: 159 } }), 504, 'query_timeout'],
    [new AppError('PIPE_CLICKHOUSE_QUERY', 'x', { details: { code: 396 } }), 422, 'query_limit'],
    [new TypeError('bug with a secret'), 500, 'internal']
  ])('turns %s into a problem without its insides', async (error, status, code) => {
    const { get } = setup(async () => Promise.reject(error))
    const response = await get('SELECT 1')
    expect([response.statusCode, response.json()]).toMatchObject([status, { code }])
    expect(response.body).not.toContain('secret')
    expect(response.headers['retry-after']).toBe(status === 503 ? '2' : undefined)
  })

  it('answers 503 when too many queries run, and serves again afterwards', async () => {
    const gate = Promise.withResolvers<unknown[][]>()
    const { get, seen } = setup(() => gate.promise)
    const first = get('SELECT 1')
    await expect.poll(() => seen.length).toBe(1)
    const second = await get('SELECT 2')
    expect([second.statusCode, second.headers['retry-after'], second.json()]).toMatchObject([
      503,
      '2',
      { code: 'unavailable' }
    ])
    gate.resolve([[1]])
    expect((await first).statusCode).toBe(200)
    expect((await get('SELECT 3')).statusCode).toBe(200)
  })
})
