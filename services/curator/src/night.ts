// The nightly pass over a project: every day that got an event since the last pass is queued to be counted, and new events
// are compared with those before them, since copies of an event that differ in day or type do not collapse. A pass begins
// when the warehouse has everything that was appended before it, so between two passes nothing falls through.
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import { queueRecount } from '@millrace/operations/daily-metrics'
import { notePass, passedUntil } from '@millrace/operations/recounts'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import type { Queryable } from '@millrace/stores/postgres'
import type { IsLoaded } from './loaded.ts'
import type { curatorMetrics } from './metrics.ts'
import type { IsWhole } from './whole.ts'

export interface NightDeps {
  readonly postgres: Queryable
  readonly clickhouse: Pick<Clickhouse, 'rows'>
  readonly isWhole: IsWhole
  readonly isLoaded: IsLoaded
  readonly metrics: BoundMetrics<typeof curatorMetrics>
  readonly log: Pick<Logger, 'info' | 'warn'>
  readonly clock: Clock
  readonly settleMs: number
  readonly passAfterMs: number
  readonly doublesDays: number
}

const dayLengthMs = 86_400_000
/** What the first pass of a project looks back. */
const firstPassMs = 3 * dayLengthMs
/** Events of one question about doubles, which holds their ids in memory. */
const eventsPerSlice = 2_000_000

/** The last time at which a pass was due, ms: once a day, that long after midnight (UTC). */
export function lastPassMs(nowMs: number, passAfterMs: number): number {
  return Math.floor((nowMs - passAfterMs) / dayLengthMs) * dayLengthMs + passAfterMs
}

/**
 * Makes the pass of `projectId` that is due; false when none is, the loaders are behind, or the tables are not whole.
 * Throws what a store throws.
 */
export async function passProject(deps: NightDeps, projectId: string): Promise<boolean> {
  const { postgres, isWhole, isLoaded, metrics, log, clock, settleMs, passAfterMs } = deps
  const untilMs = lastPassMs(clock.now() - settleMs, passAfterMs)
  const fromMs = (await passedUntil(postgres, projectId)) ?? untilMs - firstPassMs
  if (fromMs >= untilMs || !(await isWhole()) || !(await isLoaded(projectId, untilMs))) return false
  const days = await touchedDays(deps, projectId, fromMs, untilMs)
  const doubles = days.length === 0 ? noDoubles : await findDoubles(deps, projectId, fromMs, untilMs)
  // Tables may have been made anew while they were asked.
  if (!(await isWhole())) return false
  await queueRecount(postgres, projectId, days, 'nightly')
  await notePass(postgres, projectId, untilMs)
  metrics.passes.add(1)
  metrics.doubles.add(doubles.count)
  const line = { projectId, until: new Date(untilMs).toISOString(), days: days.length, doubles: doubles.count }
  if (doubles.count > 0) log.warn({ ...line, eventIds: doubles.examples }, 'events are visible more than once')
  else log.info(line, 'nightly pass')
  return true
}

/**
 * Days that have an event appended in [fromMs, toMs), ms, and the day before each: a session counts where it began. A day
 * that is not over is among them, since no later pass asks for these events again; it waits until it may be counted.
 */
async function touchedDays(
  { clickhouse }: NightDeps,
  project: string,
  fromMs: number,
  toMs: number
): Promise<readonly number[]> {
  const rows = await clickhouse.rows<{ day: string }>(
    `SELECT DISTINCT toString(toDate(timestamp)) AS day FROM events_raw
     WHERE projectId = {project:String} AND ${appendedIn} ORDER BY day`,
    { project, from: fromMs, to: toMs }
  )
  const days = rows.map(({ day }) => Date.parse(`${day}T00:00:00Z`))
  return [...new Set(days.flatMap((dayMs) => [dayMs - dayLengthMs, dayMs]))].toSorted((left, right) => left - right)
}

const appendedIn = `appendedAt >= fromUnixTimestamp64Milli({from:Int64}) AND appendedAt < fromUnixTimestamp64Milli({to:Int64})`

interface Doubles {
  readonly count: number
  readonly examples: readonly string[]
}
const noDoubles: Doubles = { count: 0, examples: [] }

/**
 * Events that are visible more than once: appended in [fromMs, toMs), with a copy of another day or type in the days
 * before. Asked slice by slice of the ids, so that memory stays bounded.
 */
async function findDoubles(
  { clickhouse, doublesDays }: NightDeps,
  project: string,
  fromMs: number,
  toMs: number
): Promise<Doubles> {
  const span = { project, from: fromMs - doublesDays * dayLengthMs, to: toMs, since: fromMs }
  const [size] = await clickhouse.rows<{ events: string }>(
    `SELECT count() AS events FROM events_raw WHERE projectId = {project:String} AND ${appendedIn}`,
    span
  )
  const slices = Math.max(1, Math.ceil(Number(size?.events ?? 0) / eventsPerSlice))
  let count = 0
  const examples: string[] = []
  for (let slice = 0; slice < slices; slice++) {
    const [found] = await clickhouse.rows<{ doubles: string; examples: readonly string[] }>(
      `SELECT count() AS doubles, groupArray(10)(eventId) AS examples FROM (
         SELECT eventId FROM events_raw
         WHERE projectId = {project:String} AND ${appendedIn} AND cityHash64(eventId) % {slices:UInt32} = {slice:UInt32}
         GROUP BY eventId
         HAVING uniqExact(eventType, toDate(timestamp)) > 1 AND max(appendedAt) >= fromUnixTimestamp64Milli({since:Int64})
       )`,
      { ...span, slices, slice }
    )
    count += Number(found?.doubles ?? 0)
    examples.push(...(found?.examples ?? []))
  }
  return { count, examples: examples.slice(0, 10) }
}
