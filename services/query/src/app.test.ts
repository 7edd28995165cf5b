import { Readable } from 'node:stream'
import { beforeAll, describe, expect, it } from 'vitest'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import { createPersons } from '@millrace/contracts'
import { AppError, createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import type { Breaker } from '@millrace/stores/breaker'
import { createQueryApp } from './app.ts'
import { createBulkhead } from './bulkhead.ts'
import type { AnswerCache } from './cache/answer-cache.ts'
import { createAnswers } from './cache/answers.ts'
import { cacheKeyOf } from './cache/cache-key.ts'
import type { Entry } from './cache/envelope.ts'
import { createLocalAnswers } from './cache/local-answers.ts'
import { createEngine } from './engine.ts'
import { queryMetrics } from './metrics.ts'
import type { QueryRequest } from './run-query.ts'
import { createGate, loadGate } from './sql/gate.ts'

beforeAll(loadGate)

const keys = {
  good: { kind: 'ok', projectId: 'demo' },
  write: { kind: 'forbidden' },
  away: { kind: 'unavailable' }
} as const
const auth = { authorization: 'Bearer good' }
const times = { freshOpenMs: 30_000, freshClosedMs: 600_000, staleOpenMs: 600_000, ttlMs: 3_600_000, mistakeMs: 30_000 }

function memoryCache(): AnswerCache & { purges: string[] } {
  const stored = new Map<string, Entry>()
  const purges: string[] = []
  return {
    purges,
    read: async (_projectId, key) => ({ kind: 'read', generation: '', entry: stored.get(key), isLate: false }),
    write: async (entry) => void stored.set(entry.key, entry),
    lock: async () => ({ kind: 'held', release: async () => {} }),
    generation: async () => undefined,
    purge: async (projectId) => `g${purges.push(projectId)}`
  }
}

function setup(
  run: (request: QueryRequest) => Promise<unknown[][] | string> = async () => [[3]],
  queued = 0,
  columns: readonly string[] = ['count()']
) {
  const seen: QueryRequest[] = []
  const clock = createManualClock()
  const lease = { held: 1, share: () => void lease.held++, shrink: () => {}, release: () => void lease.held-- }
  const breaker: Breaker = {
    name: 'warehouse',
    state: 'closed',
    run: (work) => work(new AbortController().signal),
    [Symbol.dispose]: () => {}
  }
  const runner = {
    run: async (request: QueryRequest) => {
      seen.push(request)
      const data = await run(request)
      const raw = (text: string) => ({ body: Buffer.from(text), lease: undefined, work: undefined })
      if (typeof data === 'string') return { ...raw(data), lease }
      if (request.format !== 'JSONCompact') return raw(`"${request.format}"\n`)
      const statistics = { elapsed: 0.001, rows_read: 3, bytes_read: 30 }
      return raw(
        JSON.stringify({ meta: columns.map((name) => ({ name, type: 'UInt64' })), data, rows: data.length, statistics })
      )
    },
    stream: async (request: QueryRequest) => {
      seen.push(request)
      await run(request)
      return Readable.from([Buffer.from('{"n":1}\n'), Buffer.from('{"n":2}\n')], { objectMode: false })
    }
  }
  const bulkhead = createBulkhead({ running: 1, runningOfProject: 1, queued, waitMs: 1_000, clock })
  const cache = memoryCache()
  const engine = createEngine({ bulkhead, breaker, runner, clock })
  const answers = createAnswers({ cache, local: createLocalAnswers(1_000_000, clock), clock, times, random: () => 0 })
  const app = createQueryApp({
    keys: { authenticate: (raw) => Object.entries(keys).find(([name]) => name === raw)?.[1] ?? { kind: 'invalid' } },
    gate: createGate(),
    engine,
    answers,
    cache,
    schema: { version: () => 'v1', tables: () => [{ name: 'events', columns: [{ name: 'eventId', type: 'String' }] }] },
    metricSources: {
      windows: { read: async () => Promise.reject(new AppError('PIPE_REDIS_UNAVAILABLE', 'away')) },
      definitionsOf: async () => builtInMetrics(['purchase']),
      daysOf: async () => [],
      conversionTypes: ['purchase'],
      latenessMs: 600_000,
      answers,
      engine,
      keyOf: cacheKeyOf,
      schemaVersion: () => 'v1',
      clock
    },
    persons: { of: async () => createPersons([{ fromUserId: 'ann-2', intoUserId: 'ann' }]) },
    keyOf: cacheKeyOf,
    streamMaxRows: 1_000,
    timeoutMs: 10_000,
    metrics: bindMetrics(queryMetrics, createRegistry()),
    log: createSilentLogger(),
    clock
  })
  const get = (sql: string, headers: Record<string, string> = auth, values: Record<string, string> = {}) =>
    app.inject({ url: '/v1/query', query: { sql, ...values }, headers })
  const post = (payload: object, headers: Record<string, string> = auth) =>
    app.inject({ method: 'POST', url: '/v1/query', payload, headers })
  return { app, clock, cache, bulkhead, seen, lease, get, post }
}

describe('/v1/query', () => {
  it('answers columns, rows and statistics, and asks for the project of the key', async () => {
    const { get, seen } = setup()
    const response = await get("SELECT COUNT(*) FROM events WHERE eventType='purchase'")
    expect([response.statusCode, response.headers['x-cache'], response.json()]).toEqual([
      200,
      'MISS',
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

  it('binds values of the URL by their types', async () => {
    const { app, get, seen } = setup()
    const sql = 'SELECT {n:UInt8}, {l:Array(String)}, {m:Array(UInt8)}'
    await get(sql, auth, { param_n: '1', param_l: 'a', param_m: '2' })
    const url = `/v1/query?sql=${encodeURIComponent(sql)}&param_n=1&param_l=a&param_l=b&param_m=3&param_m=4`
    await app.inject({ url, headers: auth })
    expect(seen.map(({ params }) => params)).toEqual([
      { n: '1', l: ['a'], m: [2] },
      { n: '1', l: ['a', 'b'], m: [3, 4] }
    ])
    const wrong = await get(sql, auth, { param_n: '1', param_l: 'a', param_m: 'many' })
    expect([wrong.statusCode, wrong.json()]).toMatchObject([422, { pointer: '/params/m' }])
    expect((await get('SELECT 1', auth, { project: 'x' })).json()).toMatchObject({ pointer: '/project' })
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

  it('gives the room of a large answer back, whether it was sent or could not be read', async () => {
    const statistics = { elapsed: 0, rows_read: 0, bytes_read: 0 }
    for (const [body, status] of [
      [JSON.stringify({ meta: [], data: [], rows: 0, statistics }), 200],
      ['{"meta":', 500]
    ] as const) {
      const { get, lease } = setup(async () => body)
      expect((await get('SELECT 1')).statusCode).toBe(status)
      expect(lease.held).toBe(0)
    }
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

describe('the cache of /v1/query', () => {
  it('sends the same bytes again, whatever the spelling, and tells how old they are', async () => {
    const { clock, get, seen } = setup()
    const first = await get("SELECT COUNT(*) FROM events WHERE eventType='purchase'")
    await clock.advance(5_400)
    const again = await get("select COUNT(*) -- all\nFROM events   WHERE eventType = 'purchase'")
    expect([again.headers['x-cache'], again.headers['age'], again.body]).toEqual(['HIT', '5', first.body])
    expect(again.headers['x-query-id']).toBe(first.headers['x-query-id'])
    expect([seen.length, first.headers['age']]).toEqual([1, undefined])
  })

  it('keeps answers apart by values and by form', async () => {
    const { get, seen } = setup()
    const sql = 'SELECT count() FROM events WHERE eventType = {t:String}'
    const ask = (t: string, accept: string) => get(sql, { ...auth, accept }, { param_t: t })
    const all = [await ask('a', '*/*'), await ask('b', '*/*'), await ask('a', 'text/csv'), await ask('a', '*/*')]
    expect(all.map(({ headers }) => headers['x-cache'])).toEqual(['MISS', 'MISS', 'MISS', 'HIT'])
    expect([all[2]?.body, all[2]?.headers['content-type']]).toEqual([
      '"CSVWithNames"\n',
      'text/csv; charset=utf-8; header=present'
    ])
    expect(seen.map(({ params }) => params)).toEqual([{ t: 'a' }, { t: 'b' }, { t: 'a' }])
  })

  it('streams lines, which are not kept', async () => {
    const { get, seen } = setup(undefined, 1)
    const headers = { ...auth, accept: 'application/x-ndjson' }
    const [first, second] = [await get('SELECT 1', headers), await get('SELECT 1', headers)]
    expect([first.headers['x-cache'], first.headers['content-type'], first.body]).toEqual([
      'BYPASS',
      'application/x-ndjson; charset=utf-8',
      '{"n":1}\n{"n":2}\n'
    ])
    expect([second.statusCode, seen.map(({ format }) => format)]).toEqual([200, ['JSONEachRow', 'JSONEachRow']])
  })

  it('keeps replies and problems from those in between, but not what is the same for all', async () => {
    const { app, get } = setup(undefined, 1)
    const replies = [
      await get('SELECT 1'),
      await get('SELECT 1', { ...auth, accept: 'application/x-ndjson' }),
      await get('SELECT 1', {}),
      await get('SELEKT'),
      await app.inject({ url: '/v1/metrics', headers: auth }),
      await app.inject({ url: '/v1/metrics/none', headers: auth }),
      await app.inject({ url: '/nowhere' })
    ]
    for (const { headers } of replies)
      expect([headers['cache-control'], headers['vary']]).toEqual([
        'private, no-cache',
        'Accept, Authorization, X-Api-Key'
      ])
    expect((await app.inject({ url: '/openapi.json' })).headers['cache-control']).toBe('public, max-age=300')
  })

  it('keeps a mistake of a query for half a minute, and no limit that depends on the load', async () => {
    let code = 47
    const { clock, get, seen } = setup(async () =>
      Promise.reject(new AppError('PIPE_CLICKHOUSE_QUERY', 'x', { details: { code } }))
    )
    const first = await get('SELECT nope FROM events')
    const again = await get('SELECT nope FROM events')
    expect([first.statusCode, again.statusCode, again.headers['x-cache'], again.body]).toEqual([
      422,
      422,
      'HIT',
      first.body
    ])
    expect(again.headers['content-type']).toBe('application/problem+json; charset=utf-8')
    await clock.advance(30_000)
    code = 241
    await get('SELECT nope FROM events')
    await get('SELECT nope FROM events')
    expect(seen.length).toBe(3)
  })

  it('gives an old answer for one that cannot be had, unless the client refuses it', async () => {
    let isAway = false
    const { clock, get } = setup(async () => {
      if (isAway) throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'away')
      return [[3]]
    })
    await get('SELECT 1 FROM events')
    isAway = true
    await clock.advance(60_000)
    const stale = await get('SELECT 1 FROM events')
    expect([stale.statusCode, stale.headers['x-cache'], stale.headers['age']]).toEqual([200, 'STALE', '60'])
    const strict = await get('SELECT 1 FROM events', { ...auth, 'cache-control': 'stale-if-error=0' })
    expect([strict.statusCode, strict.headers['retry-after']]).toEqual([503, '2'])
  })

  it('is emptied for a project by its key', async () => {
    const { app, cache } = setup()
    const purged = await app.inject({ method: 'DELETE', url: '/v1/cache', headers: auth })
    const refused = await app.inject({ method: 'DELETE', url: '/v1/cache' })
    expect([purged.statusCode, refused.statusCode, cache.purges]).toEqual([204, 401, ['demo']])
  })

  it('gives a query what is left of its time', async () => {
    const gate = Promise.withResolvers<unknown[][]>()
    const { clock, bulkhead, get, seen } = setup(() => gate.promise, 1)
    const headers = { ...auth, 'x-timeout-ms': '3000' }
    const first = get('SELECT 1', headers)
    await expect.poll(() => seen.length).toBe(1)
    const second = get('SELECT 2', headers)
    await expect.poll(() => bulkhead.waiting).toBe(1)
    await clock.advance(900)
    gate.resolve([[1]])
    await Promise.all([first, second])
    expect(seen.map(({ timeoutMs }) => timeoutMs)).toEqual([3_000, 2_100])
    expect((await get('SELECT 1', { ...auth, 'x-timeout-ms': 'soon' })).statusCode).toBe(400)
    expect((await get('SELECT 1', { ...auth, 'x-priority': 'urgent' })).statusCode).toBe(400)
  })
})

describe('/v1/metrics', () => {
  const ask = (app: ReturnType<typeof setup>['app'], path: string) => app.inject({ url: path, headers: auth })
  /** A day before the clock of the tests, in hours. */
  const path = '/v1/metrics/events?startTime=2025-12-31T00:00:00Z&endTime=2025-12-31T03:00:00Z'
  const rows = (): unknown[][] => [[Date.UTC(2025, 11, 31, 1), 4, '4']]

  it('tells what is counted', async () => {
    const { app } = setup()
    const { metrics } = (await ask(app, '/v1/metrics')).json<{ metrics: { name: string; description: string }[] }>()
    expect(metrics.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['events', 'active_users', 'daily_active_users', 'revenue', 'bounce_rate'])
    )
    expect(metrics.every(({ description }) => description.length > 10)).toBe(true)
  })

  it('has zero where it is known that nothing was, and says where the numbers are from', async () => {
    const { app, seen } = setup(async () => rows(), 1, ['start', 'count', 'value'])
    const [first, again] = [await ask(app, path), await ask(app, path)]
    expect(first.json()).toEqual({
      metric: 'events',
      granularity: '1h',
      source: 'warehouse',
      data: [0, 4, 0].map((value, hour) => ({
        timestamp: `2025-12-31T0${hour}:00:00.000Z`,
        value,
        count: value,
        provisional: false,
        complete: true
      }))
    })
    expect([first, again].map(({ headers }) => headers['x-cache'])).toEqual(['MISS', 'HIT'])
    expect([again.body, seen.length]).toEqual([first.body, 1])
  })

  it.each([
    ['/v1/metrics/nothing', 404, 'not_found'],
    ['/v1/metrics/events?granularity=5m', 422, 'invalid_field'],
    ['/v1/metrics/bounce_rate?granularity=1m', 422, 'invalid_field'],
    ['/v1/metrics/events?dimensions=country&startTime=2025-12-31T00:00:00Z', 422, 'invalid_field']
  ])('refuses %s', async (url, status, code) => {
    const { app } = setup(async () => [], 1, ['start', 'count', 'value'])
    const response = await ask(app, url)
    expect([response.statusCode, response.json()]).toMatchObject([status, { code }])
  })

  it('answers 503 when neither the live state nor the warehouse does', async () => {
    const { app } = setup(async () => Promise.reject(new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'away')))
    const response = await ask(app, path)
    expect([response.statusCode, response.headers['retry-after']]).toEqual([503, '2'])
  })
})

describe('/v1/schema', () => {
  it('tells tables, columns and what the properties of each type hold', async () => {
    const { app } = setup(async () => [
      ['purchase', 'price', 12, 'Double'],
      ['purchase', 'sku', 10, 'String']
    ])
    const response = await app.inject({ url: '/v1/schema', headers: auth })
    expect([response.statusCode, response.json()]).toEqual([
      200,
      {
        version: 'v1',
        tables: [{ name: 'events', columns: [{ name: 'eventId', type: 'String' }] }],
        eventTypes: [
          {
            eventType: 'purchase',
            properties: [
              { name: 'price', type: 'number', events: 12 },
              { name: 'sku', type: 'string', events: 10 }
            ]
          }
        ]
      }
    ])
  })
})

describe('questions without SQL', () => {
  it('bind what the client sent, ask for the project of the key, and are sent again', async () => {
    const { app, seen } = setup(async () => [['', [3, 1], [3, 1], 1]], 0, ['value', 'reached', 'total', 'groups'])
    const steps = [{ eventType: "it's" }, { eventType: 'buy' }]
    const ask = () => app.inject({ method: 'POST', url: '/v1/funnels', payload: { steps }, headers: auth })
    const [first, again] = [await ask(), await ask()]
    expect([first.statusCode, first.headers['x-cache'], again.headers['x-cache']]).toEqual([200, 'MISS', 'HIT'])
    expect(first.json()).toMatchObject({
      steps: [
        { eventType: "it's", count: 3 },
        { count: 1, conversion: 1 / 3 }
      ]
    })
    expect(seen).toHaveLength(1)
    expect(seen[0]).toMatchObject({ projectId: 'demo', params: { p0: "it's" } })
  })

  it.each([
    ['/v1/top/country?limit=0', { code: 'invalid_field', parameter: 'limit', pointer: '/limit' }],
    ['/v1/retention?firstEvent=a', { code: 'missing_field', parameter: 'returningEvent' }],
    ['/v1/top/country?filters=[{}]', { parameter: 'filters', pointer: '/filters/0/property' }],
    ['/v1/users/ann/events?cursor=x', { code: 'invalid_field', parameter: 'cursor' }]
  ])('say what is wrong with %s', async (url, problem) => {
    const { app, seen } = setup()
    const response = await app.inject({ url: encodeURI(url), headers: auth })
    expect([response.statusCode, response.json()]).toMatchObject([422, problem])
    expect(seen).toEqual([])
  })

  it('take no more values than a URL can carry', async () => {
    const { app, seen } = setup()
    const filters = [{ property: 'path', operator: 'is', values: Array.from({ length: 50 }, () => 'ä'.repeat(1_000)) }]
    const payload = {
      steps: [
        { eventType: 'view', filters },
        { eventType: 'buy', filters }
      ]
    }
    const response = await app.inject({ method: 'POST', url: '/v1/funnels', payload, headers: auth })
    expect([response.statusCode, response.json()]).toMatchObject([422, { code: 'invalid_field', pointer: '' }])
    expect(seen).toEqual([])
  })

  it('ask for all ids of a person, and need a key', async () => {
    const { app, seen } = setup(async () => [])
    const url = '/v1/users/ann-2/events'
    expect((await app.inject({ url })).statusCode).toBe(401)
    expect((await app.inject({ url, headers: auth })).json()).toEqual({
      userId: 'ann-2',
      identity: 'person',
      personId: 'ann',
      events: [],
      nextCursor: null
    })
    expect(seen[0]?.params).toMatchObject({ p2: ['ann', 'ann-2'] })
  })
})
