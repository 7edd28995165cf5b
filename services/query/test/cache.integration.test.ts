// The cache on a real Redis and the real engine.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { uniqueProject } from '@millrace/testkit/unique'
import { cacheKeyOf } from '../src/cache/cache-key.ts'
import { openQuery } from './open-query.ts'

const stack = new AsyncDisposableStack()
let query: Awaited<ReturnType<typeof openQuery>>
let other: Awaited<ReturnType<typeof openQuery>>

beforeAll(async () => {
  query = stack.use(await openQuery())
  other = stack.use(await openQuery())
})
afterAll(() => stack.disposeAsync())

/** Takes the engine about so long, and is another text each time. */
const slow = (seconds: number): string =>
  `SELECT count(), '${uniqueProject('slow')}' FROM numbers(1) WHERE NOT ignore(arrayMap(x -> sipHash128(x), range(toUInt64(${seconds} * 4000000))))`

describe('the cache', () => {
  it('answers MISS, then HIT with the same bytes, also in another process', async () => {
    const project = uniqueProject('cached')
    const sql = "SELECT COUNT(*) FROM events WHERE eventType='purchase'"
    const first = await query.get(project, sql)
    const [again, elsewhere] = [await query.get(project, sql), await other.get(project, sql)]
    expect([first, again, elsewhere].map(({ headers }) => headers['x-cache'])).toEqual(['MISS', 'HIT', 'HIT'])
    expect([again.body, elsewhere.body]).toEqual([first.body, first.body])
    expect(first.json()).toMatchObject({ rows: [[0]] })
  })

  it('asks the engine once for equal questions at once, in two processes', async () => {
    const project = uniqueProject('flight')
    const sql = slow(0.1)
    const before = await Promise.all(
      [query, other].map((each) => each.series('analytics_query_engine_total{lane="query"}'))
    )
    const replies = await Promise.all(
      Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? query : other).get(project, sql))
    )
    const after = await Promise.all(
      [query, other].map((each) => each.series('analytics_query_engine_total{lane="query"}'))
    )
    expect(new Set(replies.map(({ statusCode }) => statusCode))).toEqual(new Set([200]))
    expect(new Set(replies.map(({ body }) => body)).size).toBe(1)
    expect(after.reduce((sum, value, index) => sum + value - (before[index] ?? 0), 0)).toBe(1)
  })

  it('forgets what was answered before a purge, for all processes', async () => {
    const project = uniqueProject('purged')
    const ask = async (from: typeof query) => (await from.get(project, 'SELECT count() FROM events')).headers['x-cache']
    expect([await ask(query), await ask(other)]).toEqual(['MISS', 'HIT'])
    const headers = { 'x-api-key': `key-${project}` }
    expect((await query.app.inject({ method: 'DELETE', url: '/v1/cache', headers })).statusCode).toBe(204)
    expect([await ask(other), await ask(query)]).toEqual(['MISS', 'HIT'])
  })

  it('never hands out what lies under a name but is of another project', async () => {
    const [mine, theirs] = [uniqueProject('mine'), uniqueProject('theirs')]
    const sql = 'SELECT count() FROM events'
    await query.get(theirs, sql)
    const keyOf = (projectId: string): string =>
      cacheKeyOf({
        projectId,
        kind: 'sql-1',
        schemaVersion: 'test',
        sql,
        params: {},
        format: 'application/json; charset=utf-8'
      })
    const { REDIS_CACHE_URL } = testEndpoints()
    const log = createSilentLogger()
    await using redis = await openRedis({ url: REDIS_CACHE_URL, role: 'cache', log, requirePolicy: 'now' })
    const bytes = (await redis.bytes('GET', keyOf(theirs))) as Buffer
    expect(bytes.toString()).toContain(theirs)
    await redis.command('SET', keyOf(mine), bytes, 'PX', 60_000)
    expect((await query.get(mine, sql)).headers['x-cache']).toBe('MISS')
    // Looked for, and once more under the lock.
    expect(await query.series('analytics_query_cache_bad_total{kind="mismatch"}')).toBe(2)
  })

  it('sends rows as CSV, and any number of them as lines', async () => {
    const project = uniqueProject('forms')
    const csv = await query.get(project, "SELECT 1 AS n, 'a,b' AS t", { accept: 'text/csv' })
    expect([csv.headers['content-type'], csv.body]).toEqual([
      'text/csv; charset=utf-8; header=present',
      '"n","t"\n1,"a,b"\n'
    ])
    const lines = await query.get(project, 'SELECT number FROM numbers(50000)', { accept: 'application/x-ndjson' })
    const rows = lines.body.trimEnd().split('\n')
    expect([lines.statusCode, rows.length, rows[1]]).toEqual([200, 50_000, '{"number":1}'])
    const wrong = await query.get(project, 'SELECT nope FROM events', { accept: 'application/x-ndjson' })
    expect([wrong.statusCode, wrong.headers['content-type']]).toEqual([422, 'application/problem+json; charset=utf-8'])
  })

  it('binds values of the URL as text of their type', async () => {
    const project = uniqueProject('bound')
    const sql = 'SELECT {n:UInt8} + 1, {t:String}, {l:Array(String)}'
    const good = await query.get(project, sql, {}, { param_n: '41', param_t: "x' OR 1", param_l: 'a' })
    expect(good.json()).toMatchObject({ rows: [[42, "x' OR 1", ['a']]] })
    const bad = await query.get(project, sql, {}, { param_n: 'many', param_t: '', param_l: '' })
    expect([bad.statusCode, bad.json()]).toMatchObject([422, { code: 'query_failed' }])
  })
})

describe('a query whose client is gone', () => {
  it('is ended when the last one who waits for it leaves', async () => {
    const project = uniqueProject('gone')
    const mark = uniqueProject('mark')
    const sql = `SELECT max(SHA512(concat(toString(number), '${mark}'))) FROM numbers(80000000)`
    const running = async (): Promise<unknown> =>
      (
        await query.clickhouse.rows<{ n: string }>(
          `SELECT count() AS n FROM system.processes WHERE query LIKE '%${mark}%' AND query NOT LIKE '%processes%'`
        )
      )[0]?.n
    const [first, second] = [new AbortController(), new AbortController()]
    const leaving = [first, second].map(({ signal }) =>
      query.app
        .inject({ url: '/v1/query', query: { sql }, headers: { 'x-api-key': `key-${project}` }, signal })
        .catch(() => 'gone')
    )
    await expect.poll(running).toBe('1')
    first.abort()
    await leaving[0]
    expect(await running()).toBe('1')
    second.abort()
    await leaving[1]
    await expect.poll(running, { interval: 50 }).toBe('0')
  })
})
