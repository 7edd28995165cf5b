import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { eventually } from '@millrace/testkit/eventually'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { openClickhouse } from '../src/clickhouse.ts'
import type { Clickhouse, ClickhouseOptions } from '../src/clickhouse.ts'

const stack = new AsyncDisposableStack()
let url: string
let clickhouse: Clickhouse

const open = async (options: Partial<ClickhouseOptions> = {}): Promise<Clickhouse> =>
  await openClickhouse({ url, log: createSilentLogger(), applicationName: 'test', ...options })

beforeAll(async () => {
  url = stack.use(await openTestDatabases('clickhouse')).clickhouseUrl
  const anywhere = new URL(url)
  anywhere.pathname = '/default'
  await using server = await open({ url: anywhere.href })
  clickhouse = stack.use(await open())
  await server.command(`CREATE DATABASE \`${clickhouse.database}\` ENGINE = Atomic`)
  await clickhouse.command('CREATE TABLE t (id UInt64, name String) ENGINE = MergeTree ORDER BY id')
})
afterAll(() => stack.disposeAsync())

const forever = 'SELECT count() FROM numbers(1000000000000)'

describe('openClickhouse', () => {
  it('inserts lines as they are, from a buffer and from a stream, and reads 64-bit numbers without losing digits', async () => {
    await clickhouse.command('TRUNCATE TABLE t')
    await clickhouse.insertLines('t', ['id', 'name'], Buffer.from('{"id":18446744073709551615,"name":"ü"}\n'))
    const lines = Readable.from([Buffer.from('{"id":2,"na'), Buffer.from('me":"b"}\n{"id":3}')], { objectMode: false })
    await clickhouse.insertLines('t', ['id', 'name'], lines)
    expect(await clickhouse.rows('SELECT id, name FROM t ORDER BY id')).toEqual([
      { id: '2', name: 'b' },
      { id: '3', name: '' },
      { id: '18446744073709551615', name: 'ü' }
    ])
  })

  it.each([
    ['text for a number', '{"id":"x"}\n'],
    ['a column that does not exist', '{"id":1,"extra":2}\n'],
    ['what is not JSON', 'nonsense\n']
  ])('says that the rows are to blame for %s, and inserts none of them', async (_what, line) => {
    await clickhouse.command('TRUNCATE TABLE t')
    const body = Buffer.from(`{"id":1,"name":"good"}\n${line}`)
    await expect(clickhouse.insertLines('t', ['id', 'name'], body)).rejects.toMatchObject({
      code: 'PIPE_CLICKHOUSE_REFUSED'
    })
    expect(await clickhouse.rows('SELECT id FROM t')).toEqual([])
  })

  it('does not blame the rows for a table that is missing', async () => {
    await expect(clickhouse.insertLines('missing', ['id'], Buffer.from('{"id":1}\n'))).rejects.toMatchObject({
      code: 'PIPE_CLICKHOUSE_UNAVAILABLE',
      details: { code: 60 }
    })
  })

  it('gives the bytes of an answer, with typed parameters', async () => {
    const query = { sql: 'SELECT {n:UInt8} AS n, {s:String} AS s -- end', params: { n: 7, s: "a'\\b" } }
    const body = await clickhouse.queryRaw({ ...query, format: 'JSONCompactEachRow', maxBytes: 100 })
    expect(JSON.parse(body.toString())).toEqual([7, "a'\\b"])
  })

  it('stops reading an answer that is longer than allowed', async () => {
    const query = { sql: 'SELECT number FROM numbers(100000)', format: 'JSONCompact', maxBytes: 1_000 }
    await expect(clickhouse.queryRaw(query)).rejects.toMatchObject({
      code: 'PIPE_CLICKHOUSE_QUERY',
      details: { limit: 'result_bytes' }
    })
  })

  it.each([
    ['a wrong word', 'SELEC 1', {}, 62],
    ['an unknown table', 'SELECT * FROM missing', {}, 60],
    ['a write while read-only', 'DROP TABLE t', { readonly: 1 }, 164],
    ['too long a run', forever, { max_execution_time: 1 }, 159],
    ['too many rows', 'SELECT number FROM numbers(100)', { max_result_rows: 10, result_overflow_mode: 'throw' }, 396]
  ])('refuses a query for %s, with the number of the server', async (_what, sql, settings, code) => {
    const query = { sql, settings, format: 'JSONCompact', maxBytes: 1_000_000 }
    await expect(clickhouse.queryRaw(query)).rejects.toMatchObject({ code: 'PIPE_CLICKHOUSE_QUERY', details: { code } })
  })

  it('ends a query on the server when the caller goes away, and throws the reason', async () => {
    const caller = new AbortController()
    const reason = new Error('client left')
    const running = clickhouse.queryRaw({
      sql: forever,
      format: 'JSONCompact',
      maxBytes: 1_000,
      queryId: crypto.randomUUID(),
      signal: caller.signal
    })
    const outcome = expect(running).rejects.toBe(reason)
    const processes = `SELECT count() AS n FROM system.processes
      WHERE query LIKE '%numbers(1000000000000)%' AND query NOT LIKE '%processes%'`
    const count = async (): Promise<unknown> => (await clickhouse.rows<{ n: string }>(processes))[0]?.n
    await eventually('the query runs', async () => (await count()) === '1')
    caller.abort(reason)
    await outcome
    await eventually('the query is gone', async () => (await count()) === '0')
  })

  it('is unavailable when nothing listens, nothing answers, or the password is wrong', async () => {
    const mute = createServer(() => undefined)
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
    const wrong = new URL(url)
    wrong.password = 'wrong'
    await using absent = await open({ url: 'http://127.0.0.1:1/app' })
    await using silent = await open({
      url: `http://127.0.0.1:${(mute.address() as AddressInfo).port}/app`,
      requestTimeoutMs: 200
    })
    await using stranger = await open({ url: wrong.href })
    for (const client of [absent, silent, stranger]) {
      await expect(client.ping()).rejects.toMatchObject({ code: 'PIPE_CLICKHOUSE_UNAVAILABLE' })
      await expect(client.command('SELECT 1')).rejects.toMatchObject({ code: 'PIPE_CLICKHOUSE_UNAVAILABLE' })
    }
    mute.closeAllConnections()
    mute.close()
  })

  it('blames the query for a URL that is too long for what stands between, and not the server', async () => {
    const proxy = createServer((_request, response) => response.writeHead(414).end('<html>URI Too Long</html>'))
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    await using behind = await open({ url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/app` })
    const query = { sql: 'SELECT {s:String}', params: { s: 'x'.repeat(1_000) }, format: 'JSON' }
    const refused = { code: 'PIPE_CLICKHOUSE_QUERY', details: { status: 414 } }
    await expect(behind.queryRaw({ ...query, maxBytes: 100 })).rejects.toMatchObject(refused)
    await expect(behind.queryStream(query)).rejects.toMatchObject(refused)
    proxy.closeAllConnections()
    proxy.close()
  })

  it('refuses a URL without quoting its password', async () => {
    await expect(open({ url: 'http://u:geheim@h/a-b' })).rejects.toThrow(
      expect.objectContaining({ code: 'PIPE_CONFIG_INVALID', message: expect.not.stringContaining('geheim') })
    )
  })
})
