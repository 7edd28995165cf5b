// Isolation is held by the engine's row filter alone: these tests go around the gate on purpose and ask as the service
// asks. Canary rows of another project must never show, whatever the statement.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AppError, systemClock } from '@millrace/kernel'
import { enrich, eventColumns, rawTopic, toRowLine } from '@millrace/contracts'
import { createSilentLogger } from '@millrace/observability'
import { migrate } from '@millrace/operations/migrate'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { uniqueProject } from '@millrace/testkit/unique'
import { createByteBudget } from '../src/byte-budget.ts'
import { createQueryRunner, toAnswer } from '../src/run-query.ts'
import type { QueryAnswer, QueryRequest } from '../src/run-query.ts'
import { gate, loadGate } from '../src/sql/gate.ts'
import { openQuery } from './open-query.ts'

const corpus = (name: string): string[] =>
  JSON.parse(readFileSync(new URL(`${name}.json`, import.meta.url), 'utf8')) as string[]
const log = createSilentLogger()
const roomyBudget = () => createByteBudget({ bytes: 1e9, waitMs: 0, clock: systemClock })
const limits = {
  maxResultRows: 1_000,
  maxResultBytes: 1_000_000,
  maxReadRows: 100_000_000,
  maxMemoryBytes: 300_000_000,
  maxThreads: 2
}
const mine = uniqueProject('mine')
const other = uniqueProject('other')
const canary = `canary-${randomUUID()}`

let clickhouse: Clickhouse
let run: (request: Omit<QueryRequest, 'format' | 'timeoutMs' | 'queryId'>, over?: object) => Promise<QueryAnswer>

function lines(projectId: string, count: number, userId: string): Buffer {
  const now = Date.now()
  const rows = Array.from({ length: count }, (_, index) => {
    const event = {
      eventId: `${projectId}-${index}`,
      eventType: index % 2 === 0 ? 'purchase' : 'page_view',
      userId,
      timestamp: new Date(now).toISOString(),
      properties: { price: index }
    }
    const value = Buffer.from(JSON.stringify({ ...event, projectId, receivedAt: new Date(now).toISOString() }))
    const enriched = enrich({
      topic: rawTopic(projectId),
      partition: 0,
      offset: BigInt(index),
      value,
      appendedAtMs: now
    })
    if (!enriched.ok) throw new Error(`test event: ${enriched.reason}`)
    return toRowLine(enriched.row)
  })
  return Buffer.from(rows.map((row) => `${row.trimEnd()}\n`).join(''))
}

const ask = (sql: string, projectId = mine) => run({ projectId, sql, params: {}, signal: new AbortController().signal })
const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'answered',
    (error: unknown) => (error instanceof AppError ? error.details['code'] : String(error))
  )

beforeAll(async () => {
  await loadGate()
  const endpoints = testEndpoints()
  await migrate({ databaseDirectUrl: endpoints.DATABASE_DIRECT_URL, clickhouseUrl: endpoints.CLICKHOUSE_URL, log })
  clickhouse = await openClickhouse({ url: endpoints.CLICKHOUSE_URL, log, applicationName: 'test' })
  run = async (request, over = {}) => {
    const runner = createQueryRunner(clickhouse, { ...limits, ...over }, systemClock, roomyBudget(), 10_000)
    const timeoutMs = 'maxMemoryBytes' in over ? 60_000 : 3_000
    return toAnswer((await runner.run({ queryId: randomUUID(), format: 'JSONCompact', timeoutMs, ...request })).body)
  }
  const columns = eventColumns.map(({ name }) => name)
  await clickhouse.insertLines('events_raw', columns, lines(mine, 20, 'me'))
  await clickhouse.insertLines('events_raw', columns, lines(other, 30, canary))
})
afterAll(() => clickhouse[Symbol.asyncDispose]())

describe('isolation', () => {
  it('shows each project its own events only', async () => {
    expect((await ask('SELECT count() FROM events')).rows).toEqual([[20]])
    expect((await ask('SELECT count() FROM events', other)).rows).toEqual([[30]])
    expect((await ask('SELECT count() FROM events', 'nobody')).rows).toEqual([[0]])
    expect((await ask("SELECT COUNT(*) FROM events WHERE eventType='purchase'")).rows).toEqual([[10]])
  })

  it.each([
    'SELECT count() FROM events_raw',
    'SELECT count() FROM app.events_raw',
    'SELECT count() FROM app.events_raw FINAL',
    "SELECT count() FROM merge('app', '^events_raw$')",
    'SELECT count() FROM events AS a',
    'SELECT count() FROM (SELECT * FROM events)',
    'WITH x AS (SELECT * FROM events) SELECT count() FROM x',
    'SELECT count() FROM events_raw PREWHERE 1',
    "SELECT count() FROM events_raw WHERE 1 OR projectId != ''",
    'SELECT count() FROM view(SELECT * FROM app.events_raw)',
    'SELECT countIf(eventId IN (SELECT eventId FROM app.events_raw)) FROM events'
  ])('holds without the gate: %s', async (sql) => {
    expect((await ask(sql)).rows).toEqual([[20]])
  })

  it.each(corpus('refused-queries'))('never shows a canary, gate or no gate: %s', async (sql) => {
    expect(gate(sql).ok).toBe(false)
    const shown = await ask(sql).then(
      (answer) => JSON.stringify(answer.rows),
      (error: unknown) => (error instanceof Error ? error.message : String(error))
    )
    expect(shown).not.toContain(canary)
  })

  it('cannot be talked into another project by settings or errors', async () => {
    expect(await codeOf(ask(`SELECT count() FROM events SETTINGS log_comment = '${other}:1'`))).toBe(164)
    expect(
      await codeOf(ask("SELECT count() FROM events SETTINGS additional_table_filters = {'app.events_raw': '1'}"))
    ).toBe(164)
    expect(await codeOf(ask('SELECT count() FROM events SETTINGS readonly = 0'))).toBe(164)
    // A probe by error: it would throw if it saw a row of the other project.
    expect((await ask(`SELECT throwIf(userId = '${canary}') AS t FROM events GROUP BY t`)).rows).toEqual([[0]])
    expect((await ask(`SELECT sum(intDiv(1, userId != '${canary}')) FROM app.events_raw`)).rows).toEqual([[20]])
  })
})

describe('what the gate lets through', () => {
  it.each(corpus('good-queries').filter((sql) => !sql.includes('{')))('runs: %s', async (sql) => {
    const gated = gate(sql)
    if (!gated.ok) throw new Error(gated.detail)
    const [written, original] = [await ask(gated.sql), await ask(sql)]
    expect(written.rowCount).toBe(original.rowCount)
    expect(written.columns.map(({ type }) => type)).toEqual(original.columns.map(({ type }) => type))
  })

  it('binds values as text, never as syntax', async () => {
    const params = { t: "purchase' OR 1 = 1 --", n: 5 }
    const sql = 'SELECT countIf(eventType = {t:String}), count() > {n:UInt8} FROM events'
    const answer = await run({
      projectId: mine,
      sql,
      params,
      signal: new AbortController().signal
    })
    expect(answer.rows).toEqual([[0, 1]])
  })
})

describe('limits', () => {
  it.each([
    ['rows of the answer', 'SELECT number FROM numbers(2000)', 396],
    ['time', 'SELECT max(SHA512(toString(number))) FROM numbers(90000000)', 159],
    ['rows read', 'SELECT count() FROM numbers(200000000)', 158],
    ['writing', 'INSERT INTO events_raw SELECT * FROM events_raw', 164],
    ['DDL', 'DROP TABLE events_raw', 164]
  ])('bound %s', async (_name, sql, code) => {
    expect(await codeOf(ask(sql))).toBe(code)
  })

  it('bound memory', async () => {
    const sql = 'SELECT length(groupArray(number)) FROM numbers(90000000)'
    const request = { projectId: mine, sql, params: {}, signal: new AbortController().signal }
    const asked = run(request, { maxMemoryBytes: 10_000_000 })
    expect(await codeOf(asked)).toBe(241)
  })

  it('bound the bytes of an answer', async () => {
    await expect(ask("SELECT repeat('x', 1000000) FROM numbers(3)")).rejects.toMatchObject({
      code: 'PIPE_CLICKHOUSE_QUERY'
    })
  })

  it('end a query whose client went away', async () => {
    const gone = new AbortController()
    const sql = 'SELECT max(SHA512(concat(toString(number)))) FROM numbers(80000000)'
    const asked = run({ projectId: mine, sql, params: {}, signal: gone.signal }).catch((error: unknown) => error)
    const running = async (): Promise<unknown> =>
      (
        await clickhouse.rows<{ n: string }>(
          "SELECT count() AS n FROM system.processes WHERE query LIKE '%numbers(80000000)%' AND query NOT LIKE '%processes%'"
        )
      )[0]?.n
    await expect.poll(running).toBe('1')
    gone.abort(new Error('client left'))
    expect(await asked).toMatchObject({ message: 'client left' })
    await expect.poll(running).toBe('0')
  })
})

describe('over HTTP', () => {
  it('answers a query end to end and an engine error without physical names', async () => {
    await using query = await openQuery()
    const get = (sql: string) => query.get(mine, sql)
    const good = await get('SELECT eventType, count() AS n FROM events GROUP BY eventType ORDER BY eventType')
    expect([good.statusCode, good.json()]).toMatchObject([
      200,
      {
        columns: [
          { name: 'eventType', type: 'LowCardinality(String)' },
          { name: 'n', type: 'UInt64' }
        ],
        rows: [
          ['page_view', 10],
          ['purchase', 10]
        ],
        rowCount: 2
      }
    ])
    const bad = await get('SELECT nope FROM events')
    expect([bad.statusCode, bad.json()]).toMatchObject([422, { code: 'query_failed' }])
    expect(bad.body).toContain('nope')
    expect(bad.body).not.toMatch(/events_raw|app\./)
  })
})
