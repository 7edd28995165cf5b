import { builtInMetrics } from '@millrace/aggregation/metrics'
import { AppError, createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import type { ProjectDefinition } from '@millrace/operations/metric-definitions'
import { describe, expect, it } from 'vitest'
import { aggregatorMetrics } from './metrics.ts'
import { tellMissed } from './missed-definitions.ts'

const day = Date.UTC(2026, 5, 1)

function open(queueDays: (project: string, days: readonly number[]) => Promise<void>) {
  const registry = createRegistry()
  const tell = tellMissed({
    queueDays,
    clock: createManualClock(day + 30 * 3_600_000),
    log: createSilentLogger(),
    metrics: bindMetrics(aggregatorMetrics, registry)
  })
  const counted = async () => /missed_definitions_total (\d+)/.exec(await registry.metrics())?.[1]
  return { tell, counted }
}

function startingAt(effectiveFromMs: number): ProjectDefinition {
  const [definition] = builtInMetrics([])
  if (definition === undefined) throw new Error('no metric')
  return { projectId: 'p', definition: { ...definition, name: 'spend', effectiveFromMs } }
}

describe('a missed definition', () => {
  it('is told, and every day since its start queued for a recount', async () => {
    const queued: unknown[] = []
    const { tell, counted } = open(async (project, days) => void queued.push([project, ...days]))
    await tell(startingAt(day + 23 * 3_600_000))
    expect(queued).toEqual([['p', day, day + 86_400_000]])
    expect(await counted()).toBe('1')
  })

  it('is not told while its days cannot be queued, so that it is told again', async () => {
    const { tell, counted } = open(() => Promise.reject(new AppError('PIPE_REDIS_UNAVAILABLE', 'away')))
    await expect(tell(startingAt(day))).rejects.toMatchObject({ class: 'transient' })
    expect(await counted()).toBe('0')
  })
})
