// What the benchmarks of the query service share: a stack, events in the warehouse, and the service as a process.
import { createSilentLogger } from '@millrace/observability'
import { startServices } from '@millrace/local-stack/supervisor'
import type { ServiceName } from '@millrace/local-stack/services'
import type { RunningServices } from '@millrace/local-stack/supervisor'
import { schemasFolder } from '@millrace/operations/migrate'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { migrateClickhouse } from '@millrace/stores/migrations'
import { openBenchStack } from '../bench-stack.ts'
import type { BenchStack } from '../bench-stack.ts'
import { seriesOf } from '../series.ts'

export interface QueryParts extends AsyncDisposable {
  readonly stack: BenchStack
  readonly clickhouse: Clickhouse
  readonly running: RunningServices
  /** Of the query service. */
  readonly url: string
  readonly pids: () => readonly number[]
  /** Processes of the other services, and of the stores. */
  readonly otherPids: () => readonly number[]
  /** Of a request with a JSON body. */
  readonly headers: Readonly<Record<string, string>>
  /** Asks one query; its status, and how long the whole answer took. */
  ask(sql: string, headers?: Readonly<Record<string, string>>): Promise<Asked>
  /** The sum of a series of the query service over its labels. */
  series(name: string): Promise<number>
}

export interface Asked {
  readonly status: number
  readonly tookMs: number
  readonly body: string
}

export interface QueryPartsOptions {
  /** Rows of the warehouse. */
  readonly rows: number
  /** Services beside the query service. */
  readonly others?: readonly ServiceName[]
  readonly env?: Readonly<Record<string, string>>
}

const rowsPerInsert = 1_000_000
const log = createSilentLogger()

/** Starts everything and inserts the events; `say` is told each step. */
export async function openQueryParts(say: (line: string) => void, options: QueryPartsOptions): Promise<QueryParts> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(say))
  const { endpoints, pepper, folder, secretKey } = stack
  const { CLICKHOUSE_URL: url } = endpoints
  await migrateClickhouse({ url, folder: new URL('clickhouse/', schemasFolder), log })
  const request = { url, log, applicationName: 'bench', requestTimeoutMs: 600_000 }
  const clickhouse = opening.use(await openClickhouse(request))
  await fill(clickhouse, options.rows, say)
  const only = ['query', ...(options.others ?? [])] as const
  const started = { endpoints, pepper, folder, only, ports: 'ephemeral', restart: false } as const
  const running = opening.use(await startServices({ ...started, env: options.env ?? {} }))
  const service = running.service('query')
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${secretKey}` }
  const others = running.all.filter(({ name }) => name !== 'query')
  const opened = opening.move()
  return {
    stack,
    clickhouse,
    running,
    url: service.url,
    pids: () => [service.pid ?? []].flat(),
    otherPids: () => [...stack.pids(), ...others.flatMap(({ pid }) => pid ?? [])],
    headers,
    async ask(sql, more = {}) {
      const startedAt = performance.now()
      const sent = { method: 'POST', headers: { ...headers, ...more }, body: JSON.stringify({ sql }) }
      const response = await fetch(`${service.url}/v1/query`, sent)
      const body = await response.text()
      return { status: response.status, tookMs: performance.now() - startedAt, body }
    },
    series: async (name) => seriesOf(await (await fetch(`${service.url}/metrics`)).text(), name),
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** Events of 200,000 users and four types, over four weeks of June 2026. */
async function fill(clickhouse: Clickhouse, rows: number, say: (line: string) => void): Promise<void> {
  for (let from = 0; from < rows; from += rowsPerInsert) {
    const count = Math.min(rowsPerInsert, rows - from)
    await clickhouse.command(`INSERT INTO events_raw (projectId, eventId, eventType, userId, sessionId, timestamp, offset, version)
      SELECT 'bench', lower(hex(sipHash128(number))),
        ['page_view', 'product_view', 'add_to_cart', 'purchase'][1 + sipHash64(number, 2) % 4],
        concat('user-', toString(sipHash64(number, 1) % 200000)), concat('session-', toString(intDiv(number, 6))),
        toDateTime64('2026-06-01 00:00:00', 3, 'UTC') + toIntervalMillisecond(sipHash64(number) % 2419200000), number, 1
      FROM numbers(${from}, ${count})`)
    say(`${from + count} of ${rows} events`)
  }
}
