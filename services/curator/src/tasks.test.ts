import { expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { curatorMetrics } from './metrics.ts'
import { passProjects } from './tasks.ts'

it('a project whose pass fails does not hold up those behind it', async () => {
  const registry = createRegistry()
  const asked: string[] = []
  await passProjects({
    postgres: { query: () => Promise.resolve([]) },
    clickhouse: { rows: () => Promise.resolve([]) },
    isWhole: () => Promise.resolve(true),
    isLoaded: (project) => {
      asked.push(project)
      return project === 'bad' ? Promise.reject(new Error('planted')) : Promise.resolve(false)
    },
    metrics: bindMetrics(curatorMetrics, registry),
    log: createSilentLogger(),
    clock: createManualClock(Date.UTC(2026, 4, 1)),
    signal: new AbortController().signal,
    projects: ['bad', 'good'],
    settleMs: 0,
    passAfterMs: 0,
    doublesDays: 7
  })
  expect(asked).toEqual(['bad', 'good'])
  const failures = await registry.getSingleMetric('analytics_curator_failures_total')?.get()
  expect(failures?.values).toMatchObject([{ value: 1, labels: { task: 'pass' } }])
})
