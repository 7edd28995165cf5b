import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { uniqueProject } from '@millrace/testkit/unique'
import { queueRecount, readDays, writeDays } from '../src/daily-metrics.ts'
import type { DailyMetric } from '../src/daily-metrics.ts'
import { parseMeaning } from '../src/metric-definition-rules.ts'
import { defineMetric, listDefinitions } from '../src/metric-definitions.ts'

const stack = new AsyncDisposableStack()
const hour = 3_600_000
let postgres: Postgres

beforeAll(async () => {
  const { DATABASE_URL } = testEndpoints()
  postgres = stack.use(
    await openPostgres({
      url: DATABASE_URL,
      poolSize: 6,
      log: createSilentLogger(),
      name: 'test',
      connectTimeoutMs: 30_000
    })
  )
})
afterAll(() => stack.disposeAsync())

async function newProject(): Promise<string> {
  const projectId = uniqueProject('metrics')
  await postgres.query('INSERT INTO projects (id, name) VALUES ($1, $1)', [projectId])
  return projectId
}

const spend = parseMeaning({ measure: { kind: 'sum', property: 'price' }, dimensions: ['country'] })
const nextHour = () => Math.ceil((Date.now() + 300_000) / hour) * hour

describe('metrics of a project', () => {
  it('are versions that never change, each from a full hour at least five minutes ahead', async () => {
    const projectId = await newProject()
    const admin = { postgres, actor: 'cli:test' }
    const first = await defineMetric(admin, { projectId, name: 'spend', meaning: spend })
    expect(first).toMatchObject({ added: true, definition: { name: 'spend', version: 1 } })
    expect(first.definition.effectiveFromMs - nextHour()).toBeOneOf([0, -hour])
    expect(await defineMetric(admin, { projectId, name: 'spend', meaning: spend })).toMatchObject({ added: false })
    const other = parseMeaning({ measure: { kind: 'sum', property: 'total' } })
    const later = nextHour() + 2 * hour
    await defineMetric(admin, { projectId, name: 'spend', meaning: other, effectiveFromMs: later })
    const listed = (await listDefinitions(postgres, projectId)).map(({ definition }) => definition)
    expect(listed).toEqual([first.definition, { ...other, name: 'spend', version: 2, effectiveFromMs: later }])
    const refused = (request: object, reason: string) =>
      expect(defineMetric(admin, { projectId, name: 'spend', meaning: spend, ...request })).rejects.toMatchObject({
        code: 'PIPE_INVALID_INPUT',
        message: expect.stringContaining(reason) as string
      })
    await refused({ effectiveFromMs: later + 1 }, 'full hour')
    await refused({ effectiveFromMs: nextHour() - 2 * hour }, 'five minutes ahead')
    await refused({ effectiveFromMs: nextHour() + hour }, 'version 2 starts at')
    await refused({ effectiveFromMs: nextHour() + 40 * 24 * hour }, 'within 30 days')
    await refused({ meaning: parseMeaning({ measure: { kind: 'count' } }) }, "'spend' is a sum")
    await refused({ name: 'revenue' }, 'every project has')
    await expect(
      postgres.query('DELETE FROM metric_definitions WHERE project_id = $1', [projectId])
    ).rejects.toMatchObject({ class: 'poison' })
    await expect(
      defineMetric(admin, { projectId: 'no-such-project', name: 'spend', meaning: spend })
    ).rejects.toMatchObject({ code: 'PIPE_NOT_FOUND' })
  })

  it('are fifty at most, also when many are defined at once', async () => {
    const projectId = await newProject()
    const results = await Promise.allSettled(
      Array.from({ length: 55 }, (_, index) =>
        defineMetric({ postgres, actor: 'test' }, { projectId, name: `m${index}`, meaning: spend })
      )
    )
    expect(results.filter(({ status }) => status === 'fulfilled').length).toBe(50)
    expect((await listDefinitions(postgres, projectId)).length).toBe(50)
  })
})

describe('days of a metric', () => {
  const dayMs = Date.UTC(2026, 4, 3)
  const day = (over: Partial<DailyMetric>): DailyMetric => ({
    projectId: '',
    dayMs,
    metric: 'events',
    dimensionKey: '',
    dimensionValue: '',
    value: 1,
    count: 1,
    capped: false,
    revision: [1, 2],
    source: 'live',
    ...over
  })

  it('give way to newer live values and to the warehouse, and are not read while they wait for a recount', async () => {
    const projectId = uniqueProject('days')
    const read = async () => {
      const days = await readDays(postgres, { projectId, metric: 'events', fromMs: dayMs, toMs: dayMs + 1 + 24 * hour })
      return days.map(({ value, source }) => `${value} ${source}`)
    }
    const write = async (over: Partial<DailyMetric>) => {
      await writeDays(postgres, [day({ projectId, ...over })])
      return await read()
    }
    expect(await write({ value: 5, revision: [1, 10] })).toEqual(['5 live'])
    expect(await write({ value: 4, revision: [1, 8] })).toEqual(['5 live'])
    expect(await write({ value: 6, revision: [2, 1] })).toEqual(['6 live'])
    expect(await write({ value: 7, revision: [0, 0], source: 'warehouse' })).toEqual(['7 warehouse'])
    expect(await write({ value: 8, revision: [9, 9] })).toEqual(['7 warehouse'])
    expect(await write({ dimensionKey: '["country"]', dimensionValue: '["DE"]' })).toEqual(['7 warehouse'])
    await queueRecount(postgres, projectId, [dayMs], 'requested')
    expect(await read()).toEqual([])
  })
})
