import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import type { Reconciliation, ReconcileRequest } from '@millrace/operations/reconcile'
import type { ReconciledProjects } from '@millrace/operations/reconciliations'
import { reconcileMetrics } from '../metrics.ts'
import { createMarkStore } from './marks.ts'
import { startReconcileJob } from './reconcile-job.ts'

const none = { count: 0, examples: [] }
const green: Reconciliation = {
  projectId: 'a',
  topic: 'events.a',
  parts: [],
  records: 0,
  archived: 0,
  gone: 0n,
  cut: 0n,
  events: 0,
  copies: 0,
  landed: 0,
  dead: 0,
  forgotten: 0,
  past: 0,
  pending: 0n,
  unplaced: [],
  missing: none,
  extra: none,
  repeated: none,
  unlettered: none,
  windows: undefined,
  isGreen: true
}
const hourMs = 3_600_000

/** The hash that the marks are in, which outlives a process. */
function createHash() {
  const fields = new Map<string, string>()
  let isAway = false
  return {
    fields,
    setAway: (away: boolean) => (isAway = away),
    command: async (name: string, _key: unknown, ...args: readonly unknown[]): Promise<unknown> => {
      if (isAway) throw new AppError('PIPE_REDIS_UNAVAILABLE', 'no answer')
      if (name === 'HMGET') return args.map((field) => fields.get(String(field)) ?? null)
      for (let at = 0; at < args.length; at += 2)
        if (name === 'HSET' || !fields.has(String(args[at]))) fields.set(String(args[at]), String(args[at + 1]))
      return 1
    }
  }
}

const clock = createManualClock()

function open(
  answer: (projectId: string) => Reconciliation | Promise<Reconciliation>,
  hash = createHash(),
  keep: () => Promise<void> = async () => undefined
) {
  const registry = createRegistry()
  const stop = new AbortController()
  const asked: ReconcileRequest[] = []
  const saved: ReconciledProjects[] = []
  const done = startReconcileJob({
    listProjects: async () => ['a', 'b'],
    reconcile: async (request) => {
      asked.push(request)
      return { ...(await answer(request.projectId)), projectId: request.projectId }
    },
    marks: createMarkStore(hash),
    save: async (found) => {
      await keep()
      saved.push(found)
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
  const metric = async (name: string, label?: string): Promise<number | undefined> =>
    (await registry.getSingleMetric(name)?.get())?.values.find(
      ({ labels }) => (labels['sink'] ?? labels['outcome']) === label
    )?.value
  const end = async (): Promise<void> => {
    stop.abort()
    await done
  }
  return { saved, asked, advance, metric, hash, end }
}

describe('the comparison job', () => {
  it('compares every project soon after the first start and then every hour, as far back as it is told', async () => {
    const { saved, asked, advance, metric, end } = open(() => green)
    await advance(20_000)
    expect(asked.map(({ projectId }) => projectId)).toEqual(['a', 'b'])
    expect(asked[0]?.fromMs).toBeGreaterThan(clock.now() - 4 * hourMs - 20_000)
    expect([saved.at(-1)?.projects.length, await metric('analytics_reconcile_differences', 'warehouse')]).toEqual([
      2, 0
    ])
    await advance(hourMs)
    expect(asked.length).toBe(4)
    await end()
  })

  it('tells what is not there, by sink, over all projects', async () => {
    const red = {
      ...green,
      isGreen: false,
      missing: { count: 2, examples: [{ partition: 0, offset: 7n, eventId: 'x' }] },
      unlettered: { count: 1, examples: [] },
      windows: { compared: 3, wrong: [{ hourMs: 0, expected: 2, found: 1 }] }
    }
    const { advance, metric, end } = open(() => red)
    await advance(20_000)
    const differences = await Promise.all(
      ['warehouse', 'letters', 'live'].map((sink) => metric('analytics_reconcile_differences', sink))
    )
    expect(differences).toEqual([4, 2, 2])
    await end()
  })

  it('grows older while a store is away, and tries again with the next turn', async () => {
    let isAway = true
    const { advance, metric, saved, end } = open(() => {
      if (isAway) throw new AppError('PIPE_CLICKHOUSE_UNAVAILABLE', 'no answer')
      return green
    })
    await advance(hourMs / 2)
    expect(await metric('analytics_reconcile_age_seconds')).toBeGreaterThan(1_700)
    expect(saved.at(-1)).toMatchObject({
      projects: [],
      failed: [{ projectId: 'a' }, { projectId: 'b', reason: 'no answer' }]
    })
    isAway = false
    await advance(hourMs)
    expect(saved.at(-1)?.projects.length).toBe(2)
    expect(await metric('analytics_reconcile_age_seconds')).toBeLessThan(hourMs / 1_000)
    await end()
  })

  it('grows older while a comparison does not end', async () => {
    const hanging = Promise.withResolvers<Reconciliation>()
    const { asked, advance, metric, end } = open(() => hanging.promise)
    await advance(2 * hourMs)
    expect(asked.length).toBe(1)
    expect(await metric('analytics_reconcile_age_seconds')).toBeGreaterThan(7_100)
    hanging.resolve(green)
    await end()
  })

  it('does not begin again after a restart before the interval is over, and still knows what was found and when', async () => {
    const first = open(() => ({ ...green, isGreen: false, missing: { count: 2, examples: [] } }))
    await first.advance(20_000)
    await first.end()
    const second = open(() => green, first.hash)
    await second.advance(hourMs / 2)
    expect(second.asked).toEqual([])
    expect(await second.metric('analytics_reconcile_differences', 'warehouse')).toBe(4)
    expect(await second.metric('analytics_reconcile_age_seconds')).toBeGreaterThan(1_700)
    await second.advance(hourMs / 2)
    expect(second.asked.length).toBe(2)
    expect(await second.metric('analytics_reconcile_differences', 'warehouse')).toBe(0)
    await second.end()
  })

  it('does not begin again at once in a process that follows one which it killed', async () => {
    const hash = createHash()
    const killed = open(() => {
      throw new Error('out of memory')
    }, hash)
    await killed.advance(20_000)
    expect([hash.fields.has('begun'), hash.fields.has('ended')]).toEqual([true, false])
    await killed.end()
    const next = open(() => green, hash)
    await next.advance(hourMs / 2)
    expect(next.asked).toEqual([])
    expect(await next.metric('analytics_reconcile_age_seconds')).toBeGreaterThan(1_700)
    await next.end()
  })

  it('goes on with the other projects after one that fails, keeps what was known of that one, and counts it', async () => {
    let isBad = false
    const { saved, advance, metric, end } = open((projectId) => {
      if (projectId === 'a' && isBad) throw new AppError('PIPE_INVALID_INPUT', 'too many letters')
      return projectId === 'a' ? { ...green, missing: { count: 3, examples: [] } } : { ...green, cut: 5n }
    })
    await advance(20_000)
    isBad = true
    await advance(hourMs)
    expect(saved.at(-1)).toMatchObject({
      projects: [{ projectId: 'b' }],
      failed: [{ projectId: 'a', reason: 'too many letters' }]
    })
    expect(await metric('analytics_reconcile_differences', 'warehouse')).toBe(3)
    const counts = await Promise.all(
      ['compared', 'cut', 'refused'].map((outcome) => metric('analytics_reconcile_projects_total', outcome))
    )
    expect(counts).toEqual([1, 2, 1])
    // Not everything was compared.
    expect(await metric('analytics_reconcile_age_seconds')).toBeGreaterThan(3_500)
    await end()
  })

  it('takes a project in which a group has no position for one that could not be compared', async () => {
    const { saved, advance, metric, end } = open((projectId) =>
      projectId === 'a' ? { ...green, isGreen: false, unplaced: ['eu-load'] } : green
    )
    await advance(hourMs / 2)
    expect(saved.at(-1)).toMatchObject({
      projects: [{ projectId: 'b' }],
      failed: [{ projectId: 'a', reason: 'group eu-load has no position in its log: is that the name of the group?' }]
    })
    expect(await metric('analytics_reconcile_age_seconds')).toBeGreaterThan(1_700)
    await end()
  })

  it('grows older while nobody can be answered with what was found, but tells the differences', async () => {
    let isAway = true
    const red = { ...green, isGreen: false, missing: { count: 2, examples: [] } }
    const { advance, metric, saved, hash, end } = open(
      () => red,
      createHash(),
      async () => {
        if (isAway) throw new AppError('PIPE_POSTGRES_UNAVAILABLE', 'no answer')
      }
    )
    await advance(hourMs / 2)
    expect([saved.length, hash.fields.has('ended')]).toEqual([0, false])
    expect(await metric('analytics_reconcile_age_seconds')).toBeGreaterThan(1_700)
    expect(await metric('analytics_reconcile_differences', 'warehouse')).toBe(4)
    isAway = false
    await advance(hourMs)
    expect([saved.length, hash.fields.has('ended')]).toEqual([1, true])
    await end()
  })

  it('does nothing while it cannot know when it began last', async () => {
    const { asked, hash, advance, metric, end } = open(() => green)
    hash.setAway(true)
    await advance(60_000)
    expect([asked.length, await metric('analytics_reconcile_age_seconds')]).toEqual([0, 60])
    hash.setAway(false)
    await advance(10_000)
    expect(asked.length).toBe(2)
    await end()
  })
})
