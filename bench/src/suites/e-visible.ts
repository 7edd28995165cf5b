// E-visible: from the acknowledgement of an event to its effect in the live reader, on a socket and in SQL, while 1,000
// events a second come in. Open loop; probes are events of a type of their own, so the count of that type tells which are in it.
import { setTimeout as sleep } from 'node:timers/promises'
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { createWindowReader } from '@millrace/aggregation/window-reader'
import { startServices } from '@millrace/local-stack/supervisor'
import { createSilentLogger } from '@millrace/observability'
import { schemasFolder } from '@millrace/operations/migrate'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { migrateClickhouse } from '@millrace/stores/migrations'
import { openRedis } from '@millrace/stores/redis'
import type { Redis } from '@millrace/stores/redis'
import { openBenchStack } from '../bench-stack.ts'
import { encode } from '../gen/batches.ts'
import { createEvents } from '../gen/workloads.ts'
import { driveOpen } from '../open-loop.ts'
import type { Finding } from '../result.ts'
import { quantile } from '../statistics.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const perSecond = 1_000
const perBatch = 20
const probeEveryMs = 100
const probeType = 'bench_probe'
const hourMs = 3_600_000
const longestMs = 10_000

export const eVisible: Suite = {
  name: 'e-visible',
  about: `from the acknowledgement of an event to its effect, at ${perSecond} events/s: live reader, socket and SQL`,
  comparisons: [],
  open
}

async function open(settings: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { endpoints, pepper, folder, writeKey } = stack
  const only = ['gateway', 'aggregator', 'realtime', 'loader'] as const
  const silent = createSilentLogger()
  const { CLICKHOUSE_URL: sqlUrl, REDIS_STATE_URL: url } = endpoints
  await migrateClickhouse({ url: sqlUrl, folder: new URL('clickhouse/', schemasFolder), log: silent })
  const clickhouse = opening.use(await openClickhouse({ url: sqlUrl, log: silent, applicationName: 'bench' }))
  const env = { DEMO_PROJECT: 'bench', PROJECTS: 'bench' }
  const running = opening.use(
    await startServices({ endpoints, pepper, folder, only, ports: 'ephemeral', restart: false, env })
  )
  const redis = opening.use(
    await openRedis({ url, role: 'state', log: silent, requirePolicy: 'now', commandTimeoutMs: 5_000 })
  )
  const gatewayUrl = running.service('gateway').url
  const realtimeUrl = running.service('realtime').url
  const authorization = { authorization: `Bearer ${writeKey}` }
  const opened = opening.move()
  return {
    variants: [],
    otherPids: () => [...stack.pids(), ...running.all.flatMap(({ pid }) => pid ?? [])],
    versions: stack.versions,
    settings: { perSecond, perBatch, probeEveryMs, openLoopMs: settings.openLoopMs },
    async findings() {
      await drive(gatewayUrl, authorization, settings, 'warm', 3_000)
      const socket = await subscribe(realtimeUrl)
      const probes = createProbes()
      const ended = new AbortController()
      const watching = [
        watchReader(redis, probes, ended.signal),
        watchSocket(socket, probes, ended.signal),
        watchSql(clickhouse, probes, ended.signal)
      ]
      const sending = sendProbes(gatewayUrl, authorization, probes, settings.openLoopMs)
      const load = await drive(gatewayUrl, authorization, settings, 'load', settings.openLoopMs)
      await sending
      await sleep(Math.min(longestMs, 3_000))
      ended.abort()
      await Promise.all(watching)
      socket.terminate()
      return [...toFindings(probes), { name: 'failed requests', value: load, unit: 'requests', goal: 0, ceiling: 0 }]
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

interface Probes {
  readonly ackedMs: number[]
  /** When the n-th probe was seen. */
  readonly inReader: number[]
  readonly onSocket: number[]
  readonly inSql: number[]
}

const createProbes = (): Probes => ({ ackedMs: [], inReader: [], onSocket: [], inSql: [] })

/** Background load; answers how many requests failed. */
async function drive(
  url: string,
  headers: Readonly<Record<string, string>>,
  { seed }: BenchSettings,
  run: string,
  ms: number
): Promise<number> {
  const next = createEvents(seed, `${run}-${process.pid}`)
  const fresh = (): string => JSON.stringify({ ...(JSON.parse(next()) as object), timestamp: undefined })
  const count = Math.ceil((perSecond * ms) / perBatch / 1_000)
  const bodies = Array.from({ length: count }, () => encode(Array.from({ length: perBatch }, fresh), 'json'))
  const load = { url: `${url}/v1/events/batch`, headers: { 'content-type': 'application/json', ...headers } }
  const { failures } = await driveOpen({ ...load, bodies, perSecond: perSecond / perBatch, expectedStatus: 202 })
  return failures
}

/** One probe after the other, so that the n-th acknowledged one is the n-th counted one. */
async function sendProbes(
  url: string,
  headers: Readonly<Record<string, string>>,
  { ackedMs }: Probes,
  ms: number
): Promise<void> {
  const until = performance.now() + ms
  for (let number = 0; performance.now() < until; number++) {
    const body = JSON.stringify({ eventId: `probe-${process.pid}-${number}`, eventType: probeType })
    const sent = { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body }
    const response = await fetch(`${url}/v1/events`, sent)
    ackedMs.push(performance.now())
    if (response.status !== 202) throw new Error(`a probe was answered ${response.status}`)
    await response.arrayBuffer()
    await sleep(probeEveryMs)
  }
}

async function watchReader(redis: Redis, { inReader }: Probes, signal: AbortSignal): Promise<void> {
  const reader = createWindowReader(redis)
  const dimension = JSON.stringify([probeType])
  while (!signal.aborted) {
    const hour = Date.now() - (Date.now() % hourMs)
    const names = [`events:1h:${hour - hourMs}`, `events:1h:${hour}`]
    const { windows } = await reader.read('bench', names, [dimension])
    const count = [...windows.values()].reduce((sum, { values }) => sum + (values.get(dimension)?.count ?? 0), 0)
    const now = performance.now()
    while (inReader.length < count) inReader.push(now)
    await sleep(5)
  }
}

async function watchSql(clickhouse: Clickhouse, { inSql }: Probes, signal: AbortSignal): Promise<void> {
  const sql = `SELECT count() AS seen FROM events WHERE projectId = 'bench' AND eventType = '${probeType}'`
  while (!signal.aborted) {
    const [row] = await clickhouse.rows<{ seen: string }>(sql)
    const now = performance.now()
    while (inSql.length < Number(row?.seen ?? 0)) inSql.push(now)
    await sleep(50)
  }
}

async function subscribe(url: string): Promise<WebSocket> {
  const asked = await fetch(`${url}/demo/ticket`, { method: 'POST', headers: { 'x-millrace-page': 'live' } })
  if (!asked.ok) throw new Error(`no ticket: ${asked.status}`)
  const { ticket } = (await asked.json()) as { readonly ticket: string }
  const socket = new WebSocket(`${url.replace('http', 'ws')}/realtime?ticket=${ticket}`)
  await once(socket, 'open')
  const wish = { type: 'subscribe', id: 'p', to: 'metrics', metric: 'events', granularity: '1h' }
  socket.send(JSON.stringify({ ...wish, dimension: [probeType], windows: 2 }))
  return socket
}

/** Values of the windows that are shown; together they count the probes. */
async function watchSocket(socket: WebSocket, { onSocket }: Probes, signal: AbortSignal): Promise<void> {
  const byWindow = new Map<number, number>()
  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as {
      readonly data?: readonly { readonly timestamp: number; readonly value: number }[]
    }
    for (const { timestamp, value } of message.data ?? []) byWindow.set(timestamp, value)
    const count = [...byWindow.values()].reduce((sum, value) => sum + value, 0)
    const now = performance.now()
    while (onSocket.length < count) onSocket.push(now)
  })
  await once(signal, 'abort')
}

function toFindings({ ackedMs, inReader, onSocket, inSql }: Probes): readonly Finding[] {
  const of = (name: string, seen: readonly number[], goal: number, ceiling: number): readonly Finding[] => {
    const latencies = ackedMs.map((acked, index) => Math.max(0, (seen[index] ?? Infinity) - acked))
    const at = (share: number): number => Math.min(longestMs, quantile(latencies, share))
    return [
      { name: `${name}, p50`, value: at(0.5), unit: 'ms' },
      { name: `${name}, p99`, value: at(0.99), unit: 'ms', goal, ceiling }
    ]
  }
  return [
    { name: 'probes', value: ackedMs.length, unit: 'events' },
    ...of('acknowledged to live reader', inReader, 500, 1_000),
    ...of('acknowledged to socket', onSocket, 800, 1_500),
    ...of('acknowledged to SQL', inSql, 2_000, 5_000)
  ]
}
