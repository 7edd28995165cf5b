// The monitor: looks at all partitions and groups every ten seconds, tells what it sees as series, and raises alerts.
import type { LogSampler } from '@millrace/kafka'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import { createLagBook } from '@millrace/operations/lag-book'
import type { LagBook, LagView } from '@millrace/operations/lag-book'
import { sampleLag } from '@millrace/operations/lag-sample'
import type { Sink } from '@millrace/operations/sinks'
import { errorFields } from '@millrace/service'
import type { monitorMetrics } from '../metrics.ts'
import { alertKinds, createAlerts } from './alerts.ts'
import type { Alert, AlertChanges } from './alerts.ts'
import { createLagGauges } from './lag-gauges.ts'

export interface MonitorDeps {
  readonly sampler: Pick<LogSampler, 'heads' | 'appendTimes'>
  readonly sinks: readonly Sink[]
  readonly metrics: BoundMetrics<typeof monitorMetrics>
  readonly deliver: (changes: AlertChanges) => void
  readonly log: Pick<Logger, 'warn'>
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly everyMs: number
  readonly heldSeconds: (group: string) => number
}

export interface Monitor {
  /** What the last sample said; nothing before the first. */
  view(): LagView
  alerts(): readonly Alert[]
  /** Resolves after the signal aborted. */
  readonly done: Promise<void>
}

/** Records read for their append time in one sample: a batch of records each, so few. */
const readsPerSample = 8

/** Starts sampling; a sample that fails is counted and the next one is taken. */
export function startMonitor(deps: MonitorDeps): Monitor {
  const { clock, signal, everyMs, heldSeconds, metrics, log } = deps
  const book = createLagBook({ everyMs, heldSeconds })
  const alerts = createAlerts()
  const show = createLagGauges(metrics)
  const look = async (): Promise<void> => {
    await takeSample(deps, book)
    const view = book.judge()
    show(view)
    deps.deliver(alerts.observe(view))
    for (const kind of alertKinds)
      metrics.alerts.set(alerts.active().filter((alert) => alert.kind === kind).length, { kind })
  }
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      const startedMs = clock.monotonic()
      try {
        await look()
        metrics.samples.add(1, { outcome: 'taken' })
      } catch (error) {
        metrics.samples.add(1, { outcome: 'failed' })
        log.warn(errorFields(error), 'a sample of the log could not be taken')
      }
      const tookMs = clock.monotonic() - startedMs
      metrics.sampleSeconds.observe(tookMs / 1_000)
      await clock.sleep(Math.max(0, everyMs - tookMs), signal).catch(() => {})
    }
  }
  return { view: book.view, alerts: alerts.active, done: run() }
}

async function takeSample({ sampler, sinks, clock, metrics, log }: MonitorDeps, book: LagBook): Promise<void> {
  const sample = await sampleLag({ sampler, sinks, clock })
  for (const { group, error } of sample.failed) {
    metrics.sourceFailures.add(1, { group })
    log.warn({ ...errorFields(error), group }, 'where a group stands could not be asked')
  }
  book.take(sample)
  const unclear = book.unclear(readsPerSample)
  if (unclear.length === 0) return
  book.learn(unclear, await sampler.appendTimes(unclear))
}
