// Counts the days that wait. A day is counted when it is over, when nobody can have asked for it over something that the
// warehouse does not have yet, and when the loaders are past both.
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics, Logger } from '@millrace/observability'
import { finishRecount, heldDay, postponeRecount, waitingDays } from '@millrace/operations/recounts'
import type { HeldValue, WaitingDay } from '@millrace/operations/recounts'
import { errorFields } from '@millrace/service'
import type { Postgres } from '@millrace/stores/postgres'
import { compareDay } from './compare-day.ts'
import { countDay } from './count-day.ts'
import type { CountDeps, CountedDay } from './count-day.ts'
import type { IsLoaded } from './loaded.ts'
import type { curatorMetrics } from './metrics.ts'
import type { IsWhole } from './whole.ts'

export interface RecountDeps extends CountDeps {
  readonly postgres: Postgres
  readonly isWhole: IsWhole
  readonly isLoaded: IsLoaded
  /** What a project counts, in all versions. */
  readonly definitionsOf: (project: string) => Promise<readonly MetricDefinition[]>
  /** Start of the first day that the project keeps, ms; events before it may be gone. */
  readonly keptFromMs: (project: string) => number
  readonly metrics: BoundMetrics<typeof curatorMetrics>
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly projects: readonly string[]
  readonly settleMs: number
}

const dayLengthMs = 86_400_000
/** Days of one project looked at in one round. */
const maxWaiting = 100
/** A day that could not be counted is tried again after this. */
const againAfterMs = 600_000

/**
 * Counts every waiting day that is ready, the projects in turns. A day that cannot be counted goes behind the others of its
 * project, and its project waits for the next round. Throws PIPE_POSTGRES_UNAVAILABLE, and
 * PIPE_CLICKHOUSE_UNAVAILABLE when it does not answer before the first count.
 */
export async function recountDays(deps: RecountDeps): Promise<void> {
  const { postgres, isWhole, projects, metrics, log, clock, latenessMs, settleMs, signal } = deps
  const endedBeforeMs = clock.now() - latenessMs - settleMs
  const waiting = await waitingDays(postgres, { projects, perProject: maxWaiting, endedBeforeMs })
  metrics.waiting.set(waiting.length)
  if (!(await isWhole())) return
  const failed = new Set<string>()
  for (const day of waiting) {
    if (signal.aborted) return
    if (failed.has(day.projectId)) continue
    try {
      if (!(await isReady(deps, day))) continue
      // Asked before each count and after it: a rebuild may end in between.
      if (!(await isWhole())) return
      await recountDay(deps, day)
    } catch (error) {
      if (signal.aborted) return
      failed.add(day.projectId)
      metrics.failures.add(1, { task: 'recount' })
      log.warn(
        { ...errorFields(error), projectId: day.projectId, day: dateOf(day.dayMs) },
        'a day could not be counted'
      )
      await postponeRecount(postgres, day, againAfterMs)
    }
  }
}

async function isReady({ isLoaded, clock, latenessMs, settleMs }: RecountDeps, day: WaitingDay): Promise<boolean> {
  const settledAtMs = Math.max(day.dayMs + dayLengthMs + latenessMs, day.askedAtMs) + settleMs
  return clock.now() >= settledAtMs && (await isLoaded(day.projectId, settledAtMs))
}

async function recountDay(deps: RecountDeps, day: WaitingDay): Promise<void> {
  const { postgres, isWhole, definitionsOf, keptFromMs, metrics, log, clock } = deps
  const { projectId, dayMs, reason } = day
  const startedAtMs = clock.monotonic()
  if (dayMs < keptFromMs(projectId)) {
    await finishRecount(postgres, day, { metrics: [], values: [] })
    metrics.days.add(1, { outcome: 'expired' })
    return
  }
  const counted = await countDay(deps, projectId, dayMs, await definitionsOf(projectId))
  const held = await heldDay(postgres, projectId, dayMs)
  const refusal = fellToNothing(held, counted) ? 'refused' : (await isWhole()) ? undefined : 'unsure'
  if (refusal !== undefined) {
    await postponeRecount(postgres, day, againAfterMs)
    metrics.days.add(1, { outcome: refusal })
    log.error({ projectId, day: dateOf(dayMs), reason, refusal }, 'a count is not believed, what is written stays')
    return
  }
  const isDone = await finishRecount(postgres, day, { metrics: [...counted.metrics.keys()], values: counted.values })
  metrics.days.add(1, { outcome: isDone ? 'counted' : 'again' })
  metrics.seconds.observe((clock.monotonic() - startedAtMs) / 1_000)
  if (!isDone) return
  const { counts, differences } = compareDay(held, counted, reason)
  for (const outcome of ['same', 'explained', 'approximate', 'different'] as const)
    if (counts[outcome] > 0) metrics.values.add(counts[outcome], { outcome })
  const line = { projectId, day: dateOf(dayMs), reason, late: counted.late, ...counts }
  if (differences.length > 0) log.error({ ...line, differences }, 'a day was counted otherwise than live')
  else log.info(line, 'a day was counted')
}

/** A day that had events has none: its rows are gone, and what is written of it is all that is left. */
function fellToNothing(held: readonly HeldValue[], { values }: CountedDay): boolean {
  const eventsOf = (all: readonly Pick<HeldValue, 'metric' | 'dimensionValue' | 'value'>[]): number =>
    all.find(({ metric, dimensionValue }) => metric === 'events' && dimensionValue === '')?.value ?? 0
  return eventsOf(held) > 0 && eventsOf(values) === 0
}

function dateOf(dayMs: number): string {
  return new Date(dayMs).toISOString().slice(0, 10)
}
