// Q-scan: a query that reads ten million rows, through the query service and asked of the engine itself; and the memory of
// the service while forty answers of nearly 16 MiB are asked for at once.
import { forgetPeakMemory, peakMemoryMiB } from '../proc.ts'
import type { Finding } from '../result.ts'
import { serialVariant } from '../serial-variant.ts'
import { quantile } from '../statistics.ts'
import { openQueryParts } from './query-parts.ts'
import type { QueryParts } from './query-parts.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const asked = 40
const largest = 40
/** Just within the 10,000 rows and 16 MiB of an answer. */
const [rowsOfLarge, bytesOfRow] = [9_900, 1_600]
const apart = { 'cache-control': 'no-store' }

export const qScan: Suite = {
  name: 'q-scan',
  about: 'a query over ten million rows, against the engine alone; memory with forty large answers at once',
  // 0.91: at most 1.1 times the time.
  comparisons: [{ variant: 'query service', reference: 'engine', by: 'speed', goal: 0.91, floor: 0.75 }],
  open
}

const columns = 'eventType, toDate(timestamp) AS day, count() AS n, uniq(userId) AS users'
const rest = `timestamp >= '2026-06-01' AND timestamp < '2026-06-29' GROUP BY eventType, day ORDER BY day, eventType`
const question = `SELECT ${columns} FROM events WHERE ${rest}`

async function open({ rows }: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  // It asks for more than a project may read.
  const env = { QUERY_SCAN_BYTES_PER_SECOND: '0' }
  const parts = opening.use(await openQueryParts(log, { rows, env }))
  const alone = `SELECT ${columns} FROM events WHERE projectId = 'bench' AND ${rest}`
  const engine = parts.stack.pidOf('clickhouse')
  const settings = { max_threads: 2 }
  const opened = opening.move()
  return {
    variants: [
      serialVariant(
        'query service',
        () => [...parts.pids(), engine],
        () => askOnce(parts)
      ),
      serialVariant(
        'engine',
        () => [engine],
        () => parts.clickhouse.rows(alone, {}, { settings })
      )
    ],
    otherPids: () => [...parts.otherPids(), ...parts.pids()],
    versions: parts.stack.versions,
    settings: { rows, asked, largest, largeBytes: rowsOfLarge * bytesOfRow },
    findings: async () => {
      const found = [...(await latencies(parts, 'query')), ...(await large(parts))]
      // The server does this by itself with a month that nothing was inserted into for a week.
      await parts.clickhouse.command('OPTIMIZE TABLE events_raw FINAL')
      return [...found, ...(await latencies(parts, 'query over a merged month'))]
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** The time that it took. */
async function askOnce({ ask }: QueryParts): Promise<number> {
  const { status, tookMs, body } = await ask(question, apart)
  if (status !== 200) throw new Error(`${status}: ${body.slice(0, 200)}`)
  return tookMs
}

async function latencies(parts: QueryParts, name: string): Promise<readonly Finding[]> {
  const times: number[] = []
  while (times.length < asked) times.push(await askOnce(parts))
  return [
    { name: `${name}, p50`, value: quantile(times, 0.5), unit: 'ms' },
    { name: `${name}, p95`, value: quantile(times, 0.95), unit: 'ms', goal: 500, ceiling: 1_000 }
  ]
}

/** Each asks something of its own; who finds no place is told so. */
async function large(parts: QueryParts): Promise<readonly Finding[]> {
  const peakOf = (): number => parts.pids().reduce((sum, pid) => sum + peakMemoryMiB(pid), 0)
  const before = peakOf()
  // At the first query the parser of SQL is compiled, which takes more for a moment than anything that comes after.
  for (const pid of parts.pids()) forgetPeakMemory(pid)
  const idle = peakOf()
  const sql = (number: number): string =>
    `SELECT leftPad(toString(number + ${number}), ${bytesOfRow}, 'x') AS text FROM numbers(${rowsOfLarge})`
  const statuses = await Promise.all(Array.from({ length: largest }, (_, number) => statusOf(parts, sql(number))))
  const count = (status: number): number => statuses.filter((each) => each === status).length
  const peak = peakOf()
  const others = largest - count(200) - count(503)
  return [
    { name: 'peak memory, first query included', value: before, unit: 'MiB' },
    { name: 'memory before the large answers', value: idle, unit: 'MiB' },
    { name: `peak memory, ${largest} large answers at once`, value: peak, unit: 'MiB', goal: 300, ceiling: 512 },
    { name: 'large answers, whole', value: count(200), unit: 'answers' },
    { name: 'large answers, put off with 503', value: count(503), unit: 'answers' },
    { name: 'large answers, anything else', value: others, unit: 'answers', goal: 0, ceiling: 0 }
  ]
}

/** Reads the answer without keeping it. */
async function statusOf({ url, headers }: QueryParts, sql: string): Promise<number> {
  const body = JSON.stringify({ sql })
  const response = await fetch(`${url}/v1/query`, { method: 'POST', headers: { ...headers, ...apart }, body })
  for await (const _chunk of response.body ?? []) void _chunk
  return response.status
}
