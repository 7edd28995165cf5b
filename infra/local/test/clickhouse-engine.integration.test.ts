// The engine server as @clickhouse/client sees it, from another process: what the pipeline relies on must hold here as
// it does on a real server.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startEngine } from './engine-process.ts'
import type { EngineProcess } from './engine-process.ts'

let folder = ''
let engine: EngineProcess
let client: ClickHouseClient
const clients: ClickHouseClient[] = []

function connect(options: Parameters<typeof createClient>[0] = {}): ClickHouseClient {
  const made = createClient({
    url: engine.url,
    username: 'default',
    password: 'secret',
    log: { level: ClickHouseLogLevel.OFF },
    max_open_connections: 32,
    clickhouse_settings: { date_time_input_format: 'best_effort', output_format_json_quote_64bit_integers: 1 },
    ...options
  })
  clients.push(made)
  return made
}

const row = (index: number) => ({
  project: index % 3,
  at: `2026-11-20T10:00:00.${String(index % 1000).padStart(3, '0')}Z`,
  id: `id-${index}`,
  name: `ev${index % 5}`,
  props: { page: `/p/${index % 50}`, deep: { a: 'x', b: [1, 2] } }
})
const rowsOf = async (query: string, options: object = {}): Promise<unknown[]> =>
  await (await client.query({ query, format: 'JSONEachRow', ...options })).json<unknown>()
const codeOf = async (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => 'no error',
    (error: { code?: string; message: string }) => error.code ?? error.message
  )
const endless = 'SELECT count() FROM numbers(1000000000000)'

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-engine-'))
  engine = await startEngine(folder)
  client = connect({ compression: { request: true, response: true } })
  await client.command({
    query: `CREATE TABLE ev (project UInt32, at DateTime64(3, 'UTC'), id String, name LowCardinality(String), props JSON)
      ENGINE = ReplacingMergeTree ORDER BY (project, toDate(at), name, id)`
  })
  await client.insert({
    table: 'ev',
    values: Array.from({ length: 1_000 }, (_, index) => row(index)),
    format: 'JSONEachRow'
  })
})
afterAll(async () => {
  for (const made of clients) await made.close()
  await engine.end('SIGTERM')
  rmSync(folder, { recursive: true })
})

describe('requests', () => {
  it('answers ping, with and without a SELECT', async () => {
    expect(await client.ping()).toMatchObject({ success: true })
    expect(await client.ping({ select: true })).toMatchObject({ success: true })
  })

  it('reports the rows written and the query id of an insert', async () => {
    await client.command({ query: 'CREATE TABLE written (a Int32) ENGINE = MergeTree ORDER BY a' })
    const result = await client.insert({
      table: 'written',
      values: [{ a: 1 }, { a: 2 }],
      format: 'JSONEachRow',
      query_id: 'load:1'
    })
    expect([result.query_id, result.summary?.written_rows]).toEqual(['load:1', '2'])
  })

  it('inserts a stream with an explicit column list', async () => {
    await client.command({
      query: "CREATE TABLE streamed (a Int32, b String DEFAULT 'none') ENGINE = MergeTree ORDER BY a"
    })
    const values = Readable.from(
      Array.from({ length: 500 }, (_, a) => ({ a })),
      { objectMode: true }
    )
    await client.insert({ table: 'streamed', columns: ['a'], values, format: 'JSONEachRow' })
    expect(await rowsOf('SELECT count() AS n, any(b) AS b FROM streamed')).toEqual([{ n: '500', b: 'none' }])
  })

  it('inserts what another format or statement carries', async () => {
    await client.command({ query: 'CREATE TABLE other (a Int32) ENGINE = MergeTree ORDER BY a' })
    await client.insert({ table: 'other', values: Readable.from(['1\n2\n'], { objectMode: false }), format: 'CSV' })
    await client.command({ query: 'INSERT INTO other SELECT number FROM numbers(3)' })
    expect(await rowsOf('SELECT count() AS n FROM other')).toEqual([{ n: '5' }])
  })

  it('binds parameters of every kind', async () => {
    const query =
      'SELECT count() AS n FROM ev WHERE project = {p:UInt32} AND name IN {names:Array(String)} AND at < {to:DateTime64(3)}'
    const query_params = { p: 1, names: ['ev1', "ev'2\\x"], to: new Date('2027-01-01') }
    expect(await rowsOf(query, { query_params })).toEqual([{ n: '67' }])
  })

  it('answers JSON with meta, rows and counts', async () => {
    const json = (await (await client.query({ query: 'SELECT 1 AS a', format: 'JSONCompact' })).json()) as object
    expect(json).toMatchObject({ meta: [{ name: 'a', type: 'UInt8' }], data: [[1]], rows: 1 })
  })

  it('streams rows', async () => {
    let count = 0
    for await (const rows of (await client.query({ query: 'SELECT * FROM ev', format: 'JSONEachRow' })).stream())
      count += rows.length
    expect(count).toBe(1_000)
  })

  it('runs exec with a FORMAT of its own', async () => {
    let text = ''
    for await (const chunk of (await client.exec({ query: 'SELECT 1 FORMAT TabSeparated' })).stream)
      text += String(chunk)
    expect(text).toBe('1\n')
  })

  it('keeps temporary tables within a session', async () => {
    const session = connect({ session_id: 'session-1' })
    await session.command({ query: 'CREATE TEMPORARY TABLE kept (a Int32)' })
    await session.insert({ table: 'kept', values: [{ a: 1 }], format: 'JSONEachRow' })
    const result = await session.query({ query: 'SELECT count() AS n FROM kept', format: 'JSONEachRow' })
    expect(await result.json()).toEqual([{ n: '1' }])
    expect(await codeOf(client.query({ query: 'SELECT * FROM kept' }))).toBe('60')
  })

  it('accepts async inserts and insert tokens', async () => {
    await client.command({
      query:
        'CREATE TABLE tokens (a Int32) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100'
    })
    const values = [{ a: 1 }]
    for (let copy = 0; copy < 2; copy++) {
      await client.insert({
        table: 'tokens',
        values,
        format: 'JSONEachRow',
        clickhouse_settings: { insert_deduplication_token: 't1' }
      })
    }
    await client.insert({
      table: 'tokens',
      values: [{ a: 2 }],
      format: 'JSONEachRow',
      clickhouse_settings: { async_insert: 1, wait_for_async_insert: 1 }
    })
    expect(await rowsOf('SELECT count() AS n FROM tokens')).toEqual([{ n: '2' }])
  })
})

describe('errors', () => {
  it.each([
    ['62', 'SELEC 1'],
    ['60', 'SELECT * FROM nope'],
    ['47', 'SELECT nope FROM ev'],
    ['62', 'SELECT 1; SELECT 2']
  ])('answer code %s for %s', async (code, query) => {
    expect(await codeOf(client.query({ query, format: 'CSV' }))).toBe(code)
  })

  it('carry the code of a row that cannot be read, and nothing of it is stored', async () => {
    const insert = (values: object[], settings = {}) =>
      client.insert({ table: 'ev', values, format: 'JSONEachRow', clickhouse_settings: settings })
    expect(await codeOf(insert([row(1), { project: 'zz' }]))).toBe('27')
    expect(await codeOf(insert([{ ...row(1), bogus: 1 }], { input_format_skip_unknown_fields: 0 }))).toBe('117')
    expect(await rowsOf('SELECT count() AS n FROM ev')).toEqual([{ n: '1000' }])
  })

  it('refuse a wrong password and an unknown user', async () => {
    expect(await codeOf(connect({ password: 'no' }).query({ query: 'SELECT 1' }))).toBe('516')
    expect(await codeOf(connect({ username: 'no' }).query({ query: 'SELECT 1' }))).toBe('516')
  })

  it('enforce time, result and memory limits', async () => {
    const limited = (query: string, clickhouse_settings: ClickHouseSettings) =>
      codeOf(client.query({ query, clickhouse_settings }).then((result) => result.text()))
    expect(await limited(endless, { max_execution_time: 1 })).toBe('159')
    expect(await limited('SELECT number FROM numbers(100)', { max_result_rows: '10' })).toBe('396')
    expect(await limited('SELECT groupArray(number) FROM numbers(100000000)', { max_memory_usage: '10000000' })).toBe(
      '241'
    )
  })

  it('surface in the middle of a stream instead of a short result', async () => {
    const read = async (): Promise<number> => {
      let count = 0
      const result = await client.query({
        query: 'SELECT throwIf(number = 3000000) FROM numbers(5000000)',
        format: 'JSONEachRow'
      })
      for await (const rows of result.stream()) count += rows.length
      return count
    }
    await expect(read()).rejects.toThrow(/throwIf|aborted|terminated|socket|premature/i)
  })
})

describe('isolation', () => {
  it('refuses writes, DDL and changed settings in a readonly request', async () => {
    const readonly = (query: string) => codeOf(client.query({ query, clickhouse_settings: { readonly: '1' } }))
    expect(await readonly('DROP TABLE ev')).toBe('164')
    expect(await readonly('INSERT INTO ev SELECT * FROM ev')).toBe('164')
    expect(await readonly('SELECT 1 SETTINGS max_threads = 1')).toBe('164')
    expect(await readonly("SELECT 1 SETTINGS log_comment = 'other:1'")).toBe('164')
    const set = client.command({ query: "SET log_comment = 'other:1'", clickhouse_settings: { readonly: '1' } })
    expect(await codeOf(set)).toBe('164')
    expect(await readonly("SELECT * FROM url('http://127.0.0.1:1/', CSV)")).toBe('164')
    expect(await readonly("SELECT * FROM file('/etc/hostname', LineAsString)")).toBe('164')
    expect(await readonly("KILL QUERY WHERE query_id = 'any'")).toBe('164')
    expect(await codeOf(client.command({ query: "SELECT 1 INTO OUTFILE '/dev/null'" }))).toBe('358')
  })

  it('never carries a setting of one request into the next', async () => {
    const filters = {
      additional_table_filters: "{'default.ev': 'project = 1'}",
      readonly: '1',
      log_comment: 'a:1'
    } as const
    expect(await rowsOf('SELECT count() AS n FROM ev', { clickhouse_settings: filters })).toEqual([{ n: '333' }])
    expect(
      await rowsOf("SELECT count() AS n, getSetting('log_comment') AS c, getSetting('readonly') AS r FROM ev")
    ).toEqual([{ n: '1000', c: '', r: 0 }])
  })

  it('shows a project only its rows, through the table, a view with FINAL and merge()', async () => {
    await client.command({ query: 'CREATE DATABASE IF NOT EXISTS app ENGINE = Atomic' })
    await client.command({
      query:
        'CREATE TABLE app.events_raw (projectId String, n Int32) ENGINE = ReplacingMergeTree ORDER BY (projectId, n)'
    })
    await client.command({
      query: 'CREATE VIEW app.events SQL SECURITY DEFINER DEFINER = CURRENT_USER AS SELECT * FROM app.events_raw FINAL'
    })
    const values = Array.from({ length: 30 }, (_, n) => ({ projectId: n % 3 === 0 ? 'a' : 'b', n }))
    await client.insert({ table: 'app.events_raw', values, format: 'JSONEachRow' })
    const counts = async (log_comment: string): Promise<unknown[]> => {
      const sources = ['app.events_raw', 'app.events', "merge('app', '^events_raw$')", 'app.events_raw FINAL']
      const union = sources.map((source) => `(SELECT count() FROM ${source})`).join(', ')
      return await rowsOf(`SELECT [${union}] AS n`, { clickhouse_settings: { readonly: '1', log_comment } })
    }
    expect(await counts('a:q1')).toEqual([{ n: ['10', '10', '10', '10'] }])
    expect(await counts('b:q1')).toEqual([{ n: ['20', '20', '20', '20'] }])
    expect(await counts('c:q1')).toEqual([{ n: ['0', '0', '0', '0'] }])
    expect(await counts('')).toEqual([{ n: ['30', '30', '30', '30'] }])
    const nested = "SELECT count() AS n FROM (SELECT * FROM app.events_raw SETTINGS log_comment = '')"
    const escape = client.query({ query: nested, clickhouse_settings: { readonly: '1', log_comment: 'a:q1' } })
    expect(await codeOf(escape)).toBe('164')
  })
})

describe('cancellation and concurrency', () => {
  const running = async (): Promise<unknown> =>
    (
      (await rowsOf(
        "SELECT count() AS n FROM system.processes WHERE query LIKE '%numbers(1000000000000)%' AND query NOT LIKE '%processes%'"
      )) as [{ n: string }]
    )[0].n

  it('stops the query of a client that went away', async () => {
    const controller = new AbortController()
    const seen = codeOf(
      client.query({ query: endless, abort_signal: controller.signal }).then((result) => result.text())
    )
    await expect.poll(running).toBe('1')
    controller.abort()
    await seen
    await expect.poll(running).toBe('0')
  })

  it('stops a query by the id its client chose, and refuses that id while it runs', async () => {
    const seen = codeOf(client.query({ query: endless, query_id: 'kill-me' }).then((result) => result.text()))
    await expect.poll(running).toBe('1')
    expect(await codeOf(client.query({ query: 'SELECT 1', query_id: 'kill-me' }))).toBe('216')
    await client.command({ query: "KILL QUERY WHERE query_id = 'kill-me'" })
    expect(await seen).toBe('394')
  })

  it('runs queries of different requests side by side', async () => {
    const ended = Promise.all(Array.from({ length: 6 }, () => rowsOf('SELECT sleep(2)')))
    const sleeping = "SELECT count() AS n FROM system.processes WHERE query LIKE 'SELECT sleep%'"
    await expect.poll(async () => await rowsOf(sleeping), { interval: 20 }).toEqual([{ n: '6' }])
    await ended
  })
})

describe('durability', () => {
  it('shows acknowledged rows after SIGKILL, and new links of a dictionary without being asked', async () => {
    const own = mkdtempSync(join(tmpdir(), 'millrace-engine-'))
    const first = await startEngine(own)
    const before = connect({ url: first.url })
    await before.command({
      query: 'CREATE TABLE kept (a Int32) ENGINE = MergeTree ORDER BY a SETTINGS fsync_after_insert = 1'
    })
    await before.insert({ table: 'kept', values: [{ a: 1 }, { a: 2 }], format: 'JSONEachRow' })
    await first.end('SIGKILL')
    const second = await startEngine(own)
    const after = connect({ url: second.url })
    const all = async (query: string): Promise<unknown> => (await after.query({ query, format: 'JSONEachRow' })).json()
    expect(await all('SELECT sum(a) AS s FROM kept')).toEqual([{ s: '3' }])

    await after.command({ query: 'CREATE DATABASE links ENGINE = Atomic' })
    await after.command({ query: 'CREATE TABLE links.source (k UInt64, v String) ENGINE = MergeTree ORDER BY k' })
    await after.command({
      query:
        "CREATE DICTIONARY links.d (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE(TABLE 'source' DB 'links')) LAYOUT(HASHED()) LIFETIME(1)"
    })
    expect(await all("SELECT dictGetOrDefault('links.d', 'v', toUInt64(1), 'none') AS v")).toEqual([{ v: 'none' }])
    await after.insert({ table: 'links.source', values: [{ k: 1, v: 'u1' }], format: 'JSONEachRow' })
    await expect
      .poll(() => all("SELECT dictGetOrDefault('links.d', 'v', toUInt64(1), 'none') AS v"), { timeout: 10_000 })
      .toEqual([{ v: 'u1' }])
    expect(await second.end('SIGTERM')).toBe(0)
    rmSync(own, { recursive: true })
  })
})
