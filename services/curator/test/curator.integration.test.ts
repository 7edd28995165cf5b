import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import { enrich, rawTopic } from '@millrace/contracts'
import { createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { queueRecount, readDays, writeDays } from '@millrace/operations/daily-metrics'
import type { DailyMetric } from '@millrace/operations/daily-metrics'
import { migrate } from '@millrace/operations/migrate'
import { finishRecount, heldDay, passedUntil, waitingDays } from '@millrace/operations/recounts'
import { keptFromOf } from '@millrace/operations/warehouse-retention'
import { openClickhouse } from '@millrace/stores/clickhouse'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { openPostgres } from '@millrace/stores/postgres'
import type { Postgres } from '@millrace/stores/postgres'
import { openTestDatabases } from '@millrace/testkit/test-databases'
import { uniqueProject } from '@millrace/testkit/unique'
import { createToEntry } from '@millrace/warehouse/entry'
import { insertLines } from '@millrace/warehouse/insert'
import { warehouseTables } from '@millrace/warehouse/tables'
import { curatorMetrics } from '../src/metrics.ts'
import { passProject } from '../src/night.ts'
import { recountDays } from '../src/recount.ts'
import { applyCuts } from '../src/tasks.ts'
import { applyConversionTypes, applyRetention } from '../src/retention.ts'

const stack = new AsyncDisposableStack()
const log = createSilentLogger()
const dayLengthMs = 86_400_000
/** A day in the past, so that nothing of it is provisional. */
const dayMs = Date.UTC(2026, 4, 1)
const hourMs = 3_600_000
let postgres: Postgres
let clickhouse: Clickhouse

beforeAll(async () => {
  const databases = stack.use(await openTestDatabases('curator'))
  const { databaseUrl, clickhouseUrl } = databases
  await migrate({ databaseDirectUrl: databaseUrl, clickhouseUrl, log })
  postgres = stack.use(await openPostgres({ url: databaseUrl, poolSize: 3, log, name: 'test' }))
  clickhouse = stack.use(await openClickhouse({ url: clickhouseUrl, log, applicationName: 'test' }))
})
afterAll(() => stack.disposeAsync())

const toEntry = createToEntry(enrich)

/** Loads events as the loader does. */
async function loadEvents(project: string, events: readonly (object & { at: number; appendedAtMs?: number })[]) {
  const entries = events.map(({ at, appendedAtMs = at, ...event }, offset) => {
    const timestamp = new Date(at).toISOString()
    const value = Buffer.from(JSON.stringify({ ...event, timestamp, receivedAt: timestamp }))
    const entry = toEntry({ topic: rawTopic(project), partition: 0, offset: BigInt(offset), value, appendedAtMs })
    if (entry.kind !== 'item') throw new Error('an event is expected')
    return entry.item
  })
  for (const table of warehouseTables) await insertLines(clickhouse, table, table.linesOf(entries))
}

function setUp(nowMs: number) {
  const registry = createRegistry()
  const clock = createManualClock(nowMs)
  const deps = {
    postgres,
    clickhouse,
    isWhole: () => Promise.resolve(true),
    isLoaded: () => Promise.resolve(true),
    metrics: bindMetrics(curatorMetrics, registry),
    log,
    clock,
    signal: new AbortController().signal,
    conversionTypes: ['purchase'],
    latenessMs: 600_000,
    settleMs: 60_000,
    passAfterMs: 3 * hourMs,
    doublesDays: 7,
    definitionsOf: () => Promise.resolve(builtInMetrics(['purchase'])),
    keptFromMs: () => Number.NEGATIVE_INFINITY
  }
  const total = async (name: string): Promise<unknown> => (await registry.getSingleMetric(name)?.get())?.values
  return { deps, clock, total }
}

const event = (id: string, change: object = {}) => ({
  eventId: id,
  eventType: 'page_view',
  userId: 'u1',
  sessionId: 's1',
  context: { page: { path: '/a' } },
  at: dayMs + hourMs,
  ...change
})
const written = (projectId: string, metric: string, value: number): DailyMetric => ({
  projectId,
  dayMs,
  metric,
  dimensionKey: '',
  dimensionValue: '',
  value,
  count: value,
  capped: false,
  revision: [1, 2],
  source: 'live'
})
const waitingOf = (project: string) =>
  waitingDays(postgres, { projects: [project], perProject: 10, endedBeforeMs: Date.UTC(2100, 0, 1) })
const shown = async (projectId: string, metric: string, dimensionValue?: string) => {
  const wanted = { projectId, metric, fromMs: dayMs, toMs: dayMs + dayLengthMs }
  return (await readDays(postgres, dimensionValue === undefined ? wanted : { ...wanted, dimensionValue })).map(
    ({ value, count, source }) => [value, count, source]
  )
}

describe('a day that waits', () => {
  it('is counted from the warehouse, takes the place of what was live, and tells what differs', async () => {
    const project = uniqueProject('recount')
    const purchase = { eventType: 'purchase', properties: { revenue: 19.9 }, userId: 'u2', at: dayMs + 2 * hourMs }
    await loadEvents(project, [event('a'), event('a'), event('b', { at: dayMs + hourMs + 1 }), event('c', purchase)])
    await loadEvents(project, [event('next', { at: dayMs + dayLengthMs, sessionId: 's2' })])
    const gone = { ...written(project, 'events', 5), dimensionKey: '["eventType"]', dimensionValue: '["gone"]' }
    await writeDays(postgres, [written(project, 'events', 3), written(project, 'page_views', 9), gone])
    await queueRecount(postgres, project, [dayMs], 'requested')
    const { deps, total } = setUp(Date.now() + 120_000)
    await recountDays({ ...deps, projects: [project] })
    expect(await shown(project, 'events')).toEqual([[3, 3, 'warehouse']])
    expect(await shown(project, 'events', '["page_view"]')).toEqual([[2, 2, 'warehouse']])
    expect(await shown(project, 'events', '["gone"]')).toEqual([])
    expect(await shown(project, 'page_views')).toEqual([[2, 2, 'warehouse']])
    expect(await shown(project, 'active_users')).toEqual([[2, 3, 'warehouse']])
    expect(await shown(project, 'revenue')).toEqual([[19.9, 1, 'warehouse']])
    expect(await shown(project, 'bounce_rate')).toEqual([[0, 1, 'warehouse']])
    expect(await shown(project, 'session_duration')).toEqual([[hourMs, 1, 'warehouse']])
    expect(await waitingOf(project)).toEqual([])
    expect(await total('analytics_recount_values_total')).toMatchObject([
      { value: 1, labels: { outcome: 'same' } },
      { value: 2, labels: { outcome: 'different' } }
    ])
  })

  it('waits while it is not over, and while the loaders are behind', async () => {
    const project = uniqueProject('recount')
    await queueRecount(postgres, project, [dayMs], 'requested')
    const early = setUp(dayMs + dayLengthMs + 600_000)
    await recountDays({ ...early.deps, projects: [project] })
    const behind = setUp(Date.now() + 120_000)
    const asked: number[] = []
    const isLoaded = (_project: string, atMs: number) => Promise.resolve(asked.push(atMs) < 0)
    await recountDays({ ...behind.deps, isLoaded, projects: [project] })
    const [day] = await waitingOf(project)
    expect(asked).toEqual([(day?.askedAtMs ?? 0) + 60_000])
    expect(await shown(project, 'events')).toEqual([])
  })

  it('is counted again when it was asked for while it was counted: the older count writes nothing', async () => {
    const project = uniqueProject('recount')
    await queueRecount(postgres, project, [dayMs], 'closed')
    const [first] = await waitingOf(project)
    await queueRecount(postgres, project, [dayMs], 'nightly')
    const [second] = await waitingOf(project)
    if (first === undefined || second === undefined) throw new Error('two requests are expected')
    expect(second).toMatchObject({ reason: 'closed', dayMs })
    expect(second.askedAtMs).toBeGreaterThanOrEqual(first.askedAtMs)
    const place = 'SELECT queued_at < asked_at AS kept FROM recount_days WHERE project_id = $1'
    expect(await postgres.query(place, [project])).toEqual([{ kept: true }])
    expect(await finishRecount(postgres, first, { metrics: [], values: [] })).toBe(false)
    expect(await finishRecount(postgres, second, { metrics: [], values: [] })).toBe(true)
    expect(await finishRecount(postgres, second, { metrics: [], values: [] })).toBe(false)
  })

  it('keeps what is written while the tables are not known to be whole, also when that is found after the count', async () => {
    const project = uniqueProject('recount')
    await loadEvents(project, [event('a')])
    await writeDays(postgres, [written(project, 'events', 3)])
    await queueRecount(postgres, project, [dayMs], 'requested')
    const { deps, total } = setUp(Date.now() + 120_000)
    await recountDays({ ...deps, projects: [project], isWhole: () => Promise.resolve(false) })
    expect(await waitingOf(project)).toHaveLength(1)
    let asked = 0
    await recountDays({ ...deps, projects: [project], isWhole: () => Promise.resolve(++asked < 2) })
    expect([asked, await total('analytics_recount_days_total')]).toEqual([2, []])
    asked = 0
    await recountDays({ ...deps, projects: [project], isWhole: () => Promise.resolve(++asked < 3) })
    expect(await total('analytics_recount_days_total')).toMatchObject([{ value: 1, labels: { outcome: 'unsure' } }])
    expect(await heldDay(postgres, project, dayMs)).toMatchObject([{ metric: 'events', value: 3, source: 'live' }])
  })

  it('is not overwritten by nothing: it waits on, behind the others', async () => {
    const project = uniqueProject('recount')
    await writeDays(postgres, [{ ...written(project, 'events', 3), source: 'warehouse' }])
    await queueRecount(postgres, project, [dayMs], 'nightly')
    const { deps, total } = setUp(Date.now() + 120_000)
    await recountDays({ ...deps, projects: [project] })
    expect(await total('analytics_recount_days_total')).toMatchObject([{ value: 1, labels: { outcome: 'refused' } }])
    expect(await heldDay(postgres, project, dayMs)).toMatchObject([{ metric: 'events', value: 3 }])
    const waiting = 'SELECT queued_at > now() + interval $$9 minutes$$ AS later FROM recount_days WHERE project_id = $1'
    expect(await postgres.query(waiting, [project])).toEqual([{ later: true }])
    expect(await waitingOf(project)).toEqual([])
  })

  it('does not hold up others when it cannot be counted: it goes behind them', async () => {
    const [bad, good] = [uniqueProject('bad'), uniqueProject('good')]
    for (const project of [bad, good]) {
      await loadEvents(project, [event('a')])
      await queueRecount(postgres, project, [dayMs], 'requested')
    }
    const { deps, total } = setUp(Date.now() + 120_000)
    const definitionsOf = (project: string) =>
      project === bad ? Promise.reject(new Error('planted')) : deps.definitionsOf()
    await recountDays({ ...deps, definitionsOf, projects: [bad, good] })
    expect(await shown(good, 'events')).toEqual([[1, 1, 'warehouse']])
    expect(await waitingOf(bad)).toEqual([])
    expect(await total('analytics_curator_failures_total')).toMatchObject([{ value: 1, labels: { task: 'recount' } }])
    await postgres.query('UPDATE recount_days SET queued_at = now() WHERE project_id = $1', [bad])
    await recountDays({ ...deps, projects: [bad] })
    expect(await shown(bad, 'events')).toEqual([[1, 1, 'warehouse']])
  })

  it('comes in turns with those of other projects, and only when it is over', async () => {
    const [many, one] = [uniqueProject('many'), uniqueProject('one')]
    const days = [0, 1, 2, 3].map((nth) => dayMs + nth * dayLengthMs)
    await queueRecount(postgres, many, days, 'requested')
    await queueRecount(postgres, one, [dayMs], 'requested')
    const wanted = { projects: [many, one], perProject: 2, endedBeforeMs: dayMs + dayLengthMs * 4 - 1 }
    const found = (await waitingDays(postgres, wanted)).map((day) => [day.projectId, day.dayMs])
    expect(found).toEqual([
      [many, days[0]],
      [one, days[0]],
      [many, days[1]]
    ])
    const early = await waitingDays(postgres, { ...wanted, perProject: 9, endedBeforeMs: dayMs + 2 * dayLengthMs })
    expect(early.map((day) => day.dayMs)).toEqual([days[0], days[0], days[1]])
  })

  it('is left as it was when it is past the retention', async () => {
    const project = uniqueProject('recount')
    await queueRecount(postgres, project, [dayMs], 'closed')
    const { deps, total } = setUp(Date.now() + 120_000)
    await recountDays({ ...deps, projects: [project], keptFromMs: () => dayMs + 1 })
    expect(await waitingOf(project)).toEqual([])
    expect(await total('analytics_recount_days_total')).toMatchObject([{ value: 1, labels: { outcome: 'expired' } }])
  })
})

describe('a nightly pass', () => {
  it('queues the days that got events since the last one, however old, and finds doubles once', async () => {
    const project = uniqueProject('pass')
    const passMs = dayMs + 3 * dayLengthMs + 3 * hourMs
    const lateDayMs = dayMs - 30 * dayLengthMs
    await loadEvents(project, [
      event('a', { at: passMs - hourMs - dayLengthMs }),
      event('old', { at: lateDayMs, appendedAtMs: passMs - hourMs }),
      event('after', { at: passMs - 9 * dayLengthMs, appendedAtMs: passMs + 1 }),
      event('twice', { at: passMs - 2 * dayLengthMs }),
      event('twice', { at: passMs - dayLengthMs }),
      event('copy', { at: passMs - dayLengthMs }),
      event('copy', { at: passMs - dayLengthMs + 1 })
    ])
    const { deps, clock, total } = setUp(passMs + 60_000)
    expect(await passProject(deps, project)).toBe(true)
    const days = async () => (await waitingOf(project)).map((day) => day.dayMs).toSorted((a, b) => a - b)
    const passed = [lateDayMs - dayLengthMs, lateDayMs, dayMs, dayMs + dayLengthMs, dayMs + 2 * dayLengthMs]
    expect(await days()).toEqual(passed)
    expect(await total('analytics_event_doubles_total')).toMatchObject([{ value: 1 }])
    expect(await passProject(deps, project)).toBe(false)
    await clock.advance(dayLengthMs)
    expect(await passProject(deps, project)).toBe(true)
    const after = [dayMs - 7 * dayLengthMs, dayMs - 6 * dayLengthMs]
    expect(await days()).toEqual([...passed.slice(0, 2), ...after, ...passed.slice(2)])
    expect(await total('analytics_event_doubles_total')).toMatchObject([{ value: 1 }])
    expect(await passedUntil(postgres, project)).toBe(passMs + dayLengthMs)
  })

  it('queues the day it is made on: what came in before it is in no later pass', async () => {
    const project = uniqueProject('pass')
    const todayMs = dayMs + dayLengthMs
    await loadEvents(project, [event('a', { at: todayMs + hourMs })])
    const { deps } = setUp(todayMs + 3 * hourMs + 60_000)
    expect(await passProject(deps, project)).toBe(true)
    const waiting = await waitingOf(project)
    expect(waiting.map((day) => day.dayMs)).toEqual([dayMs, todayMs])
    await recountDays({ ...deps, projects: [project] })
    expect((await waitingOf(project)).map((day) => day.dayMs)).toContain(todayMs)
  })

  it('waits for the loaders, and for tables that are whole', async () => {
    const project = uniqueProject('pass')
    const { deps } = setUp(Date.now())
    expect(await passProject({ ...deps, isLoaded: () => Promise.resolve(false) }, project)).toBe(false)
    expect(await passProject({ ...deps, isWhole: () => Promise.resolve(false) }, project)).toBe(false)
    expect(await passedUntil(postgres, project)).toBeUndefined()
  })
})

describe('what the warehouse keeps', () => {
  it('is as long as the project says; first sightings stay, so a returning user is no new one', async () => {
    const [short, long] = [uniqueProject('short'), uniqueProject('long')]
    const nowMs = Date.now()
    for (const project of [short, long])
      await loadEvents(project, [
        event('old', { at: nowMs - 9 * dayLengthMs, sessionId: 'old' }),
        event('new', { at: nowMs })
      ])
    await applyRetention(clickhouse, new Map([[short, 3]]), log)
    await clickhouse.command('OPTIMIZE TABLE events_raw FINAL')
    const sessions = async (project: string) =>
      await clickhouse.rows(
        'SELECT sessionId, isNew FROM sessions WHERE projectId = {project:String} ORDER BY startedAt',
        { project }
      )
    expect(await sessions(short)).toEqual([{ sessionId: 's1', isNew: false }])
    expect(await sessions(long)).toEqual([
      { sessionId: 'old', isNew: true },
      { sessionId: 's1', isNew: false }
    ])
    await applyRetention(clickhouse, new Map(), log)
    const [table] = await clickhouse.rows<{ engine_full: string }>(
      "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'events_raw'"
    )
    expect(table?.engine_full).not.toContain(' TTL ')
  })

  it('does not come back when the retention is raised: the days that were cut are remembered', async () => {
    const project = uniqueProject('cut')
    const setDays = (days: number) =>
      postgres.query(
        `INSERT INTO projects (id, name, settings) VALUES ($1, $1, $2::jsonb)
         ON CONFLICT (id) DO UPDATE SET settings = EXCLUDED.settings`,
        [project, JSON.stringify({ warehouseRetentionDays: days })]
      )
    const { deps, clock } = setUp(dayMs)
    await setDays(3)
    await applyCuts(deps)
    const kept = async () => (await keptFromOf(postgres, clock))(project)
    expect(await kept()).toBe(dayMs - 2 * dayLengthMs)
    await clock.advance(5 * dayLengthMs)
    await setDays(400)
    await applyCuts(deps)
    expect(await kept()).toBe(dayMs + 3 * dayLengthMs)
    await postgres.query("UPDATE projects SET settings = '{}' WHERE id = $1", [project])
    await applyCuts(deps)
    expect(await kept()).toBe(dayMs + 3 * dayLengthMs)
  })
})

describe('the view of sessions', () => {
  it('has the fields of a live session, each event once', async () => {
    const project = uniqueProject('session')
    const page = (path: string) => ({ context: { page: { path } } })
    const of = (id: string, at: number, change: object) => event(id, { sessionId: 's', at: dayMs + at, ...change })
    await loadEvents(project, [
      of('b', 2_000, { ...page('/b'), userId: 'u', anonymousId: 'd' }),
      of('a', 1_000, {
        context: { page: { path: '/a' }, campaign: { source: 'news', medium: 'email' } },
        userId: undefined,
        anonymousId: 'd'
      }),
      of('a', 1_000, { ...page('/a'), userId: undefined, anonymousId: 'd' }),
      of('c', 5_000, { eventType: 'signup', context: {}, userId: undefined, anonymousId: 'd' }),
      event('other', { sessionId: undefined })
    ])
    const read = async () =>
      (
        await clickhouse.rows(
          'SELECT * EXCEPT (deviceType, country) FROM sessions WHERE projectId = {project:String}',
          {
            project
          }
        )
      )[0]
    const expected = {
      projectId: project,
      sessionId: 's',
      startedAt: '2026-05-01 00:00:01.000',
      lastEventAt: '2026-05-01 00:00:05.000',
      durationMs: '4000',
      totalEvents: '3',
      pageViews: '2',
      hasConversion: false,
      isNew: true,
      userId: 'u',
      anonymousId: 'd',
      trafficSource: 'email',
      entryPage: '/a',
      exitPage: '/b'
    }
    expect(await read()).toEqual(expected)
    await applyConversionTypes(clickhouse, ['signup'])
    expect(await read()).toEqual({ ...expected, hasConversion: true })
  })
})
