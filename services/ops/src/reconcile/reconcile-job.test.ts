import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import type { Reconciliation, ReconcileRequest } from '@millrace/operations/reconcile'
import { reconcileMetrics } from '../metrics.ts'
import { startReconcileJob } from './reconcile-job.ts'

const none = { count: 0, examples: [] }
const green: Reconciliation = {
  projectId: 'a',
  topic: 'events.a',
  parts: [],
  records: 0,
  events: 0,
  copies: 0,
  landed: 0,
  dead: 0,
  pending: 0n,
  missing: none,
  extra: none,
  repeated: none,
  unlettered: none,
  windows: undefined,
  isGreen: true
}
const hourMs = 3_600_000

function open(answer: () => Reconciliation) {
  const clock = createManualClock()
  const registry = createRegistry()
  const stop = new AbortController()
  const asked: ReconcileRequest[] = []
  const job = startReconcileJob({
    listProjects: async () => ['a', 'b'],
    reconcile: async (request) => {
      asked.push(request)
      return answer()
    },
    metrics: bindMetrics(reconcileMetrics, registry),
    log: createSilentLogger(),
    clock,
    signal: stop.signal,
    everyMs: hourMs,
    rangeMs: 4 * hourMs
  })
  const advance = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 10_000) await clock.advance(10_000)
  }
  const metric = async (name: string, sink?: string): Promise<number | undefined> =>
    (await registry.getSingleMetric(name)?.get())?.values.find(({ labels }) => labels['sink'] === sink)?.value
  return { job, clock, stop, asked, advance, metric }
}

describe('the comparison job', () => {
  it('compares every project soon after the start and then every hour, as far back as it is told', async () => {
    const { job, asked, advance, metric, clock, stop } = open(() => green)
    await advance(20_000)
    expect(asked.map(({ projectId }) => projectId)).toEqual(['a', 'b'])
    expect(asked[0]?.fromMs).toBeGreaterThan(clock.now() - 4 * hourMs - 20_000)
    expect([job.last()?.projects.length, await metric('analytics_reconcile_differences', 'warehouse')]).toEqual([2, 0])
    await advance(hourMs)
    expect(asked.length).toBe(4)
    stop.abort()
    await job.done
  })

  it('tells what is not there, by sink, over all projects', async () => {
    const red = {
      ...green,
      isGreen: false,
      missing: { count: 2, examples: [{ partition: 0, offset: 7n, eventId: 'x' }] },
      unlettered: { count: 1, examples: [] },
      windows: { compared: 3, wrong: [{ hourMs: 0, expected: 2, found: 1 }] }
    }
    const { advance, metric, stop, job } = open(() => red)
    await advance(20_000)
    const differences = await Promise.all(
      ['warehouse', 'letters', 'live'].map((sink) => metric('analytics_reconcile_differences', sink))
    )
    expect(differences).toEqual([4, 2, 2])
    stop.abort()
    await job.done
  })

  it('grows older while a store is away, and tries again with the next turn', async () => {
    let isAway = true
    const { advance, metric, job, stop } = open(() => {
      if (isAway) throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'no answer')
      return green
    })
    await advance(hourMs / 2)
    expect(await metric('analytics_reconcile_age_seconds')).toBeGreaterThan(1_700)
    expect(job.last()).toBeUndefined()
    isAway = false
    await advance(hourMs)
    expect(job.last()?.projects.length).toBe(2)
    expect(await metric('analytics_reconcile_age_seconds')).toBeLessThan(hourMs / 1_000)
    stop.abort()
    await job.done
  })
})
