// Q-live: a metric over the last sixty minutes, window by window, from the live state: counts, sums and distinct users.
import { setTimeout as sleep } from 'node:timers/promises'
import { encode } from '../gen/batches.ts'
import { createEvents } from '../gen/workloads.ts'
import { driveOpen } from '../open-loop.ts'
import type { Finding } from '../result.ts'
import { openQueryParts } from './query-parts.ts'
import type { QueryParts } from './query-parts.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const minuteMs = 60_000
const windows = 60
const events = 60_000
const perBatch = 100
const perSecond = 100
const longestMs = 60_000
const metrics = ['events', 'revenue', 'active_users'] as const

export const qLive: Suite = {
  name: 'q-live',
  about: `metrics over ${windows} windows of a minute, from the live state`,
  comparisons: [],
  open
}

async function open(settings: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  // Events of the last hour count although they come in now.
  const env = { PROJECTS: 'bench', LATENESS_MS: '3h' }
  const parts = opening.use(await openQueryParts(log, { rows: 1, others: ['gateway', 'aggregator'], env }))
  const opened = opening.move()
  return {
    variants: [],
    otherPids: () => [...parts.otherPids(), ...parts.pids()],
    versions: parts.stack.versions,
    settings: { events, windows, perSecond, openLoopMs: settings.openLoopMs },
    async findings() {
      await send(parts, settings.seed)
      for (const metric of metrics) await untilLive(parts, metric)
      // One after the other from cold would charge the first metric for what all of them share.
      for (const metric of metrics) await latencies(parts, metric, settings.openLoopMs / 2)
      const findings: Finding[] = []
      for (const metric of metrics) findings.push(...(await latencies(parts, metric, settings.openLoopMs)))
      return findings
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** Events that happened evenly over the last hour. */
async function send({ running, stack }: QueryParts, seed: number): Promise<void> {
  const next = createEvents(seed, `live-${process.pid}`)
  const startMs = Date.now() - windows * minuteMs
  const made = Array.from({ length: events }, (_, index) => {
    const timestamp = new Date(startMs + Math.floor((index * windows * minuteMs) / events)).toISOString()
    const event = JSON.parse(next()) as { readonly properties: { readonly price: number } }
    return JSON.stringify({ ...event, timestamp, properties: { ...event.properties, revenue: event.properties.price } })
  })
  const bodies = Array.from({ length: events / perBatch }, (_, batch) =>
    encode(made.slice(batch * perBatch, (batch + 1) * perBatch), 'json')
  )
  const { failures } = await driveOpen({
    url: `${running.service('gateway').url}/v1/events/batch`,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${stack.writeKey}` },
    bodies,
    perSecond: 50,
    expectedStatus: 202
  })
  if (failures > 0) throw new Error(`${failures} batches were not accepted`)
}

interface Shown {
  readonly source: string
  readonly data: readonly { readonly count: number | null }[]
}

const addressOf = ({ url }: QueryParts, metric: string): string => `${url}/v1/metrics/${metric}?granularity=1m`

/** Waits until the windows are there, out of the live state alone. */
async function untilLive(parts: QueryParts, metric: string): Promise<void> {
  const giveUpAt = performance.now() + longestMs
  for (;;) {
    const response = await fetch(addressOf(parts, metric), { headers: parts.headers })
    const text = await response.text()
    if (response.status !== 200) throw new Error(`${metric}: ${response.status} ${text.slice(0, 200)}`)
    const { source, data } = JSON.parse(text) as Shown
    const filled = data.filter(({ count }) => (count ?? 0) > 0).length
    // The minutes that pass meanwhile are empty.
    if (source === 'live' && data.length === windows && filled > windows - 10) return
    if (performance.now() > giveUpAt) throw new Error(`${metric}: ${filled} windows with events, source ${source}`)
    await sleep(200)
  }
}

async function latencies(parts: QueryParts, metric: string, ms: number): Promise<readonly Finding[]> {
  const drive = (driveMs: number) =>
    driveOpen({
      url: addressOf(parts, metric),
      method: 'GET',
      headers: parts.headers,
      bodies: Array.from({ length: Math.ceil((perSecond * driveMs) / 1_000) }, () => Buffer.alloc(0)),
      perSecond,
      expectedStatus: 200
    })
  const { failures, p50Ms, p99Ms } = await drive(ms)
  return [
    { name: `${metric}, p50`, value: p50Ms, unit: 'ms' },
    { name: `${metric}, p99`, value: p99Ms, unit: 'ms', goal: 10, ceiling: 20 },
    { name: `${metric}, failures`, value: failures, unit: 'requests', goal: 0, ceiling: 0 }
  ]
}
