// G-load: latency at a fifth of the capacity, open loop, and memory: at capacity, and with Kafka frozen under full load.
import { systemClock } from '@millrace/kernel'
import { createBatches } from '../gen/batches.ts'
import { createEvents, createW1 } from '../gen/workloads.ts'
import type { Variant, Windows } from '../harness.ts'
import { driveOpen } from '../open-loop.ts'
import { readProcesses, readUnits, treeOf } from '../proc.ts'
import type { Finding } from '../result.ts'
import { quantile } from '../statistics.ts'
import { batchVariant, openGatewayParts, singleVariant } from './gateway-parts.ts'
import type { GatewayParts } from './gateway-parts.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

const share = 0.2
const mebibyte = 1024 ** 2
const memory = { unit: 'MiB', goal: 300, ceiling: 512 } as const

export const gLoad: Suite = {
  name: 'g-load',
  about: 'gateway, latency at 20 % of its capacity, and memory at capacity and with Kafka frozen',
  comparisons: [],
  open
}

async function open(settings: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const parts = opening.use(await openGatewayParts(settings, log))
  const { seed, connections } = settings
  const workload = createBatches('W3', createEvents(seed, `b${seed}`), 'json')
  const single = singleVariant('gateway W1', parts.gateway, createW1(seed, `s${seed}`), parts, connections)
  const batch = batchVariant({ name: 'gateway W3', target: parts.gateway, workload, form: 'json' }, parts, connections)
  // A load leaves its bodies behind; what is measured is the gateway, in a process of its own.
  const opened = opening.move()
  return {
    variants: [single, batch],
    otherPids: parts.stack.pids,
    versions: parts.versions,
    settings: { ...parts.settings, openLoopMs: settings.openLoopMs, frozenMs: settings.frozenMs },
    findings: async (windows) => [
      ...(await latencies(parts, windows, settings)),
      { name: 'RSS at capacity, W3', value: peakOf(windows, 'gateway W3'), ...memory },
      { name: 'RSS with Kafka frozen', value: await frozen(parts, batch, settings.frozenMs), ...memory }
    ],
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

function peakOf(windows: Windows, name: string): number {
  return Math.max(...(windows.get(name) ?? []).map(({ rssBytes }) => rssBytes)) / mebibyte
}

async function latencies(parts: GatewayParts, windows: Windows, settings: BenchSettings): Promise<readonly Finding[]> {
  const speeds = (windows.get('gateway W1') ?? []).map(({ events, elapsedMs }) => (events * 1_000) / elapsedMs)
  const perSecond = Math.max(1, quantile(speeds, 0.5) * share)
  const drive = (ms: number, run: string) =>
    driveOpen({
      url: `${parts.gateway.url}/v1/events`,
      headers: { 'content-type': 'application/json', ...parts.authorization },
      bodies: createW1(settings.seed, run).render(Math.ceil((perSecond * ms) / 1_000)),
      perSecond,
      expectedStatus: 202
    })
  await drive(Math.min(2_000, settings.openLoopMs), 'lat-warm')
  const { failures, p50Ms, p99Ms, p999Ms } = await drive(settings.openLoopMs, 'lat')
  return [
    { name: 'open loop at 20 %, rate', value: perSecond, unit: 'events/s' },
    { name: 'open loop at 20 %, p50', value: p50Ms, unit: 'ms' },
    { name: 'open loop at 20 %, p99', value: p99Ms, unit: 'ms', goal: 25, ceiling: 50 },
    { name: 'open loop at 20 %, p99.9', value: p999Ms, unit: 'ms' },
    { name: 'open loop at 20 %, failures', value: failures, unit: 'requests', goal: 0, ceiling: 0 }
  ]
}

/** Peak RSS in MiB while Kafka is frozen under the load of `batch`. */
async function frozen(parts: GatewayParts, batch: Variant, ms: number): Promise<number> {
  const units = readUnits()
  let peakBytes = 0
  let ended = false
  const watch = async (): Promise<void> => {
    while (!ended) {
      const bytes = treeOf(batch.pids(), readProcesses(units)).reduce((sum, { rssBytes }) => sum + rssBytes, 0)
      peakBytes = Math.max(peakBytes, bytes)
      await systemClock.sleep(250)
    }
  }
  const watching = watch()
  parts.stack.signal('kafka', 'SIGSTOP')
  try {
    // In slices: what is turned away at once would otherwise exhaust the bodies that were made for the whole time.
    const until = systemClock.monotonic() + ms
    while (systemClock.monotonic() < until) await batch.drive(Math.min(2_000, ms))
  } finally {
    parts.stack.signal('kafka', 'SIGCONT')
    ended = true
    await watching
  }
  return peakBytes / mebibyte
}
