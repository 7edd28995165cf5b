// Q-cache: what an answer costs that was made before, against a GET of the same bytes from the same Redis, alone and behind
// HTTP; its latency; how many answers of people at dashboards are such ones; and what a crowd with one question costs.
import { createSilentLogger } from '@millrace/observability'
import { openRedis } from '@millrace/stores/redis'
import { startChildServer } from '../child.ts'
import { createDashboards, dashboardOf, toBodies } from '../gen/dashboards.ts'
import { driveHttp } from '../load.ts'
import { loopVariant, startLoopChild } from '../loop-child.ts'
import { driveOpen } from '../open-loop.ts'
import type { Finding } from '../result.ts'
import { openQueryParts } from './query-parts.ts'
import type { QueryParts } from './query-parts.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const rows = 200_000
const dashboards = 50
/** Ten dashboards are opened in a second. */
const lookedAtPerSecond = 60
const perSecond = 300
const inFlight = 32
const crowd = 500
const stages = [50, 200] as const

export const qCache: Suite = {
  name: 'q-cache',
  about: 'answers of the query service that were made before, against a GET of Redis; hits at dashboards; crowds',
  comparisons: [
    // Half of its answers per CPU second are twice its CPU. An answer comes over HTTP, so that is what it is held against:
    // the least server that does a GET and nothing else.
    { variant: 'cached answer', reference: 'HTTP and GET', goal: 0.5, floor: 0.35 },
    // What was asked for. A GET alone costs a third of an HTTP server that does nothing but GET: no answer over HTTP is near it.
    { variant: 'cached answer', reference: 'GET', goal: 0.5, floor: 0.1 }
  ],
  open
}

async function open(settings: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const parts = opening.use(await openQueryParts(log, { rows }))
  const { REDIS_CACHE_URL } = parts.stack.endpoints
  // Of times that are over: they stay fresh as long as this takes.
  const hot = Array.from({ length: 10 }, (_, number) => dashboardOf(number).slice(-2)).flat()
  await askAll(parts, hot)
  const env = { REDIS_CACHE_URL, KEYS: (await keysOf(REDIS_CACHE_URL)).join(' ') }
  const loop = opening.use(await startLoopChild('references/redis-get-loop.ts', { ...env, IN_FLIGHT: `${inFlight}` }))
  const http = opening.use(await startChildServer('references/redis-get-http.ts', env))
  const bodies = toBodies(hot)
  const load = (url: string) => (ms: number) =>
    driveHttp(
      {
        url: `${url}/v1/query`,
        headers: parts.headers,
        connections: inFlight,
        expectedStatus: 200,
        bodies: (count) => Array.from({ length: count }, (_, index) => bodies[index % bodies.length] as Buffer),
        bodiesPerSecond: 20_000
      },
      ms
    )
  const opened = opening.move()
  return {
    variants: [
      { name: 'cached answer', pids: parts.pids, drive: load(parts.url) },
      { name: 'HTTP and GET', pids: () => [http.pid], drive: load(http.url) },
      loopVariant('GET', loop, {})
    ],
    otherPids: parts.otherPids,
    versions: parts.stack.versions,
    settings: { rows, inFlight, dashboards, lookedAtPerSecond, perSecond, openLoopMs: settings.openLoopMs },
    findings: async () => [
      ...(await latencies(parts, hot, settings.openLoopMs)),
      ...(await looking(parts, settings)),
      ...(await crowded(parts))
    ],
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

async function askAll({ ask }: QueryParts, questions: readonly string[]): Promise<void> {
  for (const sql of questions) {
    const { status, body } = await ask(sql)
    if (status !== 200) throw new Error(`${status}: ${body.slice(0, 200)}`)
  }
}

/** What the answers are stored under. */
async function keysOf(url: string): Promise<readonly string[]> {
  await using redis = await openRedis({ url, role: 'cache', log: createSilentLogger(), requirePolicy: 'now' })
  return (await redis.command('KEYS', 'query:{bench}:*')) as readonly string[]
}

async function latencies(parts: QueryParts, hot: readonly string[], ms: number): Promise<readonly Finding[]> {
  // Their time may be over by now, in a long run.
  await askAll(parts, hot)
  const drive = (driveMs: number) => {
    const count = Math.ceil((perSecond * driveMs) / 1_000)
    const questions = Array.from({ length: count }, (_, index) => hot[index % hot.length] ?? '')
    return openLoop(parts, questions, perSecond)
  }
  await drive(Math.min(2_000, ms))
  const { failures, p50Ms, p99Ms, p999Ms } = await drive(ms)
  const name = `cached, open loop at ${perSecond}/s`
  return [
    { name: `${name}, p50`, value: p50Ms, unit: 'ms' },
    { name: `${name}, p99`, value: p99Ms, unit: 'ms', goal: 5, ceiling: 10 },
    { name: `${name}, p99.9`, value: p999Ms, unit: 'ms' },
    { name: `${name}, failures`, value: failures, unit: 'requests', goal: 0, ceiling: 0 }
  ]
}

function openLoop({ url, headers }: QueryParts, questions: readonly string[], rate: number) {
  const load = { url: `${url}/v1/query`, headers, bodies: toBodies(questions) }
  return driveOpen({ ...load, perSecond: rate, expectedStatus: 200 })
}

/** The share of answers that had to be made; then more and more people, who ask once a second each. */
async function looking(parts: QueryParts, settings: BenchSettings): Promise<readonly Finding[]> {
  const { openLoopMs: ms } = settings
  const next = createDashboards(settings.seed, dashboards)
  const count = Math.ceil((lookedAtPerSecond * ms) / 1_000)
  // Till the cache is as it is after a while.
  await openLoop(parts, next(count), lookedAtPerSecond)
  const before = await uses(parts)
  const { failures } = await openLoop(parts, next(count), lookedAtPerSecond)
  const after = await uses(parts)
  const share = (100 * (after.made - before.made)) / Math.max(1, after.all - before.all)
  const findings: Finding[] = [
    { name: 'dashboards, answers that were not in the cache', value: share, unit: '%', goal: 20, ceiling: 40 },
    { name: 'dashboards, failures', value: failures, unit: 'requests', goal: 0, ceiling: 0 }
  ]
  for (const users of stages) {
    const { latencyMs, failures: failed } = await driveHttp(
      {
        url: `${parts.url}/v1/query`,
        headers: parts.headers,
        connections: users,
        perSecond: users,
        expectedStatus: 200,
        bodies: (wanted) => toBodies(next(wanted)),
        bodiesPerSecond: users
      },
      ms
    )
    // What is asked of the 95th percentile, of the 99th.
    findings.push(
      { name: `${users} users, p99`, value: latencyMs.p99, unit: 'ms', goal: 500, ceiling: 500 },
      { name: `${users} users, failures`, value: failed, unit: 'requests', goal: 0, ceiling: 0 }
    )
  }
  return findings
}

async function uses({ series }: QueryParts): Promise<{ readonly all: number; readonly made: number }> {
  const all = await series('analytics_query_cache_total')
  return { all, made: all - (await series('analytics_query_cache_total{use="hit"}')) }
}

/** Five hundred ask the same at once, which nobody has asked before. */
async function crowded({ ask, series }: QueryParts): Promise<readonly Finding[]> {
  // Long enough for all of them to come in meanwhile.
  const sql = `SELECT count(), max(eventType) FROM events WHERE NOT ignore(arrayMap(x -> sipHash128(x), range(400000)))`
  const before = await series('analytics_query_engine_total')
  const answers = await Promise.all(Array.from({ length: crowd }, () => ask(sql)))
  const asked = (await series('analytics_query_engine_total')) - before
  const failures = answers.filter(({ status }) => status !== 200).length
  return [
    { name: `${crowd} equal questions, asked of the engine`, value: asked, unit: 'queries', goal: 1, ceiling: 1 },
    { name: `${crowd} equal questions, failures`, value: failures, unit: 'requests', goal: 0, ceiling: 0 }
  ]
}
