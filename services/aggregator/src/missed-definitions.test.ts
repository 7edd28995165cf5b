import { builtInMetrics } from '@millrace/aggregation/metrics'
import { AppError, createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import type { ProjectDefinition } from '@millrace/operations/metric-definitions'
import { describe, expect, it } from 'vitest'
import { assigned, openHeld } from '../test/held.ts'
import { aggregatorMetrics } from './metrics.ts'
import { tellMissed } from './missed-definitions.ts'

const day = Date.UTC(2026, 5, 1)

async function open(queueDays = async (_project: string, _days: readonly number[]): Promise<void> => {}) {
  const world = openHeld([7n, 8n])
  await world.projects.startAt(assigned(0, 1))
  const registry = createRegistry()
  const queued: unknown[] = []
  const tell = tellMissed({
    projects: world.projects,
    queueDays: async (project, days) => {
      queued.push([project, ...days])
      await queueDays(project, days)
    },
    clock: createManualClock(day + 30 * 3_600_000),
    log: createSilentLogger(),
    metrics: bindMetrics(aggregatorMetrics, registry)
  })
  const counted = async () => /missed_definitions_total (\d+)/.exec(await registry.metrics())?.[1]
  return { tell, queued, counted }
}

function startingAt(projectId: string, effectiveFromMs: number): ProjectDefinition {
  const [definition] = builtInMetrics([])
  if (definition === undefined) throw new Error('no metric')
  return { projectId, definition: { ...definition, name: 'spend', effectiveFromMs } }
}

describe('a missed definition', () => {
  it('is told, and every day since its start queued for a recount', async () => {
    const { tell, queued, counted } = await open()
    tell(startingAt('p', day + 23 * 3_600_000))
    expect(queued).toEqual([['p', day, day + 86_400_000]])
    expect(await counted()).toBe('1')
  })

  it('is nothing to a process that holds nothing of the project', async () => {
    const { tell, queued, counted } = await open()
    tell(startingAt('other', day))
    expect(queued).toEqual([])
    expect(await counted()).toBe('0')
  })

  it('does not end the process when its days cannot be queued', async () => {
    const { tell, counted } = await open(() => Promise.reject(new AppError('PIPE_REDIS_UNAVAILABLE', 'away')))
    tell(startingAt('p', day))
    await new Promise((resolve) => setImmediate(resolve))
    expect(await counted()).toBe('1')
  })
})
