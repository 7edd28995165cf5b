// Two real engines as two servers of one warehouse: one is frozen, then killed.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '@millrace/kernel'
import { createRegistry, createSilentLogger } from '@millrace/observability'
import { eventually } from '@millrace/testkit/eventually'
import { openOwnClickhouse } from '@millrace/testkit/own-clickhouse'
import type { OwnClickhouse } from '@millrace/testkit/own-clickhouse'
import { openClickhouse } from '../src/clickhouse.ts'
import { openClickhouseReplicas } from '../src/clickhouse-replicas.ts'
import type { ClickhouseReader } from '../src/clickhouse-replicas.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
const registry = createRegistry()
let first: OwnClickhouse
let second: OwnClickhouse
let reader: ClickhouseReader

beforeAll(async () => {
  ;[first, second] = await Promise.all([openOwnClickhouse(), openOwnClickhouse()])
  stack.use(first)
  stack.use(second)
  for (const [name, { url }] of Object.entries({ first, second })) {
    await using server = await openClickhouse({ url, log, applicationName: 'test' })
    await server.command(`CREATE VIEW who AS SELECT '${name}' AS name`)
  }
  const options = { log, applicationName: 'test', clock: systemClock, registry, requestTimeoutMs: 1_500 }
  reader = stack.use(await openClickhouseReplicas({ ...options, url: first.url, replicaUrls: [second.url] }))
})
afterAll(() => stack.disposeAsync())

const who = async (): Promise<string> => {
  const body = await reader.queryRaw({ sql: 'SELECT name FROM who', format: 'TSV', maxBytes: 100 })
  return body.toString().trim()
}
const several = (): Promise<string[]> => Promise.all(Array.from({ length: 6 }, who))

describe('openClickhouseReplicas', () => {
  it('spreads questions over the servers', async () => {
    expect(new Set(await several())).toEqual(new Set(['first', 'second']))
  })

  it('ends a query on the server that runs it', async () => {
    const queryId = crypto.randomUUID()
    const sql = 'SELECT count() FROM numbers(1000000000000)'
    const running = reader.queryRaw({
      sql,
      format: 'TSV',
      maxBytes: 100,
      queryId,
      settings: { max_execution_time: 20 }
    })
    let isOver = false
    const outcome = expect(running.finally(() => (isOver = true))).rejects.toMatchObject({ details: { code: 394 } })
    // It may not have begun when it is to be ended first.
    await eventually('the query is over', async () => {
      await reader.kill(queryId)
      return isOver
    })
    await outcome
  })

  it('leaves out a server that is frozen without a query that finds out, and takes it back', async () => {
    first.pause()
    await eventually('it is left out', async () => {
      return (await registry.metrics()).includes('analytics_replicas_usable{store="clickhouse"} 1')
    })
    expect(new Set(await several())).toEqual(new Set(['second']))
    first.resume()
    await eventually('both are asked', async () => new Set(await several()).size === 2)
  })

  it('answers every question after one of them was killed', async () => {
    await second.kill()
    expect(new Set([...(await several()), ...(await several())])).toEqual(new Set(['first']))
  })

  it('refuses servers whose databases have different names', async () => {
    const url = new URL(second.url)
    url.pathname = '/other'
    const options = { log, applicationName: 'test', clock: systemClock, registry }
    const opening = openClickhouseReplicas({ ...options, url: first.url, replicaUrls: [url.href] })
    await expect(opening).rejects.toMatchObject({ code: 'PIPE_CONFIG_INVALID' })
  })
})
