// What a project may read, and who asked what: on a real Redis and PostgreSQL.
import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { migrate } from '@millrace/operations/migrate'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { uniqueProject } from '@millrace/testkit/unique'
import { createAuditRows } from '../src/audit/audit-rows.ts'
import { openQuery } from './open-query.ts'

beforeAll(async () => {
  const { DATABASE_DIRECT_URL, CLICKHOUSE_URL } = testEndpoints()
  await migrate({ databaseDirectUrl: DATABASE_DIRECT_URL, clickhouseUrl: CLICKHOUSE_URL, log: createSilentLogger() })
})

describe('the bytes that queries may read', () => {
  it('are a limit of the project, in all processes, and the answer says when to come back', async () => {
    const env = { QUERY_SCAN_BYTES_PER_SECOND: '1MiB', QUERY_SCAN_BURST_BYTES: '1MiB' }
    await using query = await openQuery(env)
    await using other = await openQuery(env)
    const project = uniqueProject('scan')
    const sql = (count: number): string => `SELECT sum(number) FROM numbers(${count})`
    expect((await query.get(project, sql(1_000_000))).statusCode).toBe(200)
    const limited = await other.get(project, sql(2_000_000))
    expect([limited.statusCode, limited.json()]).toMatchObject([
      429,
      { code: 'rate_limited', budget: { bytesPerSecond: 1_048_576, burstBytes: 1_048_576, estimatedBytes: 16_777_216 } }
    ])
    // Eight megabytes were read of the one that there was.
    expect(Number(limited.headers['retry-after'])).toBeGreaterThanOrEqual(5)
    expect((await other.get(project, sql(1_000_000))).headers['x-cache']).toBe('HIT')
    expect((await other.get(uniqueProject('scan'), sql(1_000))).statusCode).toBe(200)
  })
})

describe('large answers', () => {
  it('are whole or refused, and nothing of them is held when they are sent or their clients are gone', async () => {
    await using query = await openQuery({ QUERY_BYTES_AT_ONCE: '32MiB', QUERY_QUEUE_MS: '10s' })
    const address = await query.app.listen({ port: 0, host: '127.0.0.1' })
    const [project, rows] = [uniqueProject('large'), 5_000]
    const ask = async (number: number, signal?: AbortSignal) => {
      const sql = `SELECT leftPad(toString(number + ${number}), 1000, '.') FROM numbers(${rows})`
      const headers = { 'x-api-key': `key-${project}`, 'cache-control': number % 2 === 0 ? 'no-store' : 'no-cache' }
      return await fetch(`${address}/v1/query?${new URLSearchParams({ sql }).toString()}`, {
        headers,
        ...(signal && { signal })
      })
    }
    const whole = Array.from({ length: 4 }, async (_, number) => {
      const response = await ask(number)
      const { rowCount, rows: found } = (await response.json()) as { rowCount: number; rows: string[][] }
      return [response.status, rowCount, found.length, found.at(-1)?.[0]?.replaceAll('.', '')]
    })
    const leaving = Array.from({ length: 3 }, async () => {
      const client = new AbortController()
      const response = await ask(99, client.signal)
      client.abort()
      return response.status
    })
    expect(await Promise.all(whole)).toEqual([0, 1, 2, 3].map((number) => [200, rows, rows, String(number + rows - 1)]))
    expect(await Promise.all(leaving)).toEqual([200, 200, 200])
    await expect.poll(() => query.series('analytics_query_bytes_held')).toBe(0)
    query.app.server.closeAllConnections()
    await query.app.close()
  })
})

describe('the audit of queries', () => {
  it('has a row for each question that the cache did not answer, refused ones included', async () => {
    const project = uniqueProject('audit')
    const [sql, bad] = ['SELECT count() FROM numbers(1000)', 'DROP TABLE events']
    await using query = await openQuery()
    const rows = () =>
      query.postgres.query('SELECT * FROM query_audit WHERE project_id = $1 ORDER BY at, took_ms', [project])
    {
      await using asked = await openQuery({ QUERY_AUDIT: 'engine', QUERY_AUDIT_TEXT: 'text' })
      for (const text of [sql, sql, bad]) await asked.get(project, text)
      await asked.app.inject({ url: '/v1/top/path', headers: { 'x-api-key': `key-${project}` } })
    }
    const found = await rows()
    expect(found).toHaveLength(3)
    expect(found.find((row) => row['sql'] === sql)).toMatchObject({
      key_id: 'key',
      endpoint: '/v1/query',
      status: 200,
      cache: 'MISS',
      read_bytes: '8000',
      query_id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      sql_sha256: createHash('sha256').update(sql).digest('hex')
    })
    expect(found.find((row) => row['sql'] === bad)).toMatchObject({ status: 422, cache: '', read_bytes: null })
    expect(found.find((row) => row['endpoint'] === '/v1/top/:dimension')).toMatchObject({ status: 200, cache: 'MISS' })
    await query.postgres.query(`UPDATE query_audit SET at = '2020-01-01' WHERE project_id = $1 AND status = 422`, [
      project
    ])
    expect(await createAuditRows(query.postgres).deleteBefore(new Date('2020-01-02'))).toBe(1)
    expect(await rows()).toHaveLength(2)
  })
})
