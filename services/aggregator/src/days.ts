// Days from the hours that are held: written when an hour becomes final, and again when it changes after that. Of the
// metrics that sessions make the open hours count too, since theirs close a day later, when the first are gone.
import type { ReadUniques } from '@millrace/aggregation/day-uniques'
import { kindOfMetric, sessionMetrics } from '@millrace/aggregation/metric-messages'
import { granularities } from '@millrace/aggregation/metrics'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import { windowNames } from '@millrace/aggregation/window-reader'
import type { WindowReader } from '@millrace/aggregation/window-reader'
import type { WindowValue } from '@millrace/aggregation/window-value'
import { queueRecount, writeDays as storeDays } from '@millrace/operations/daily-metrics'
import type { Queryable } from '@millrace/stores/postgres'
import type { DayQueue, DirtyDay } from './day-queue.ts'
import type { LiveProject } from './live-projects.ts'
import { dimensionsOf, mergeDay } from './merge-day.ts'

export interface DaysDeps {
  readonly queue: DayQueue
  readonly reader: WindowReader
  readonly readUniques: ReadUniques
  readonly definitionOf: (project: string, metric: string, startMs: number) => MetricDefinition | undefined
  readonly postgres: Queryable
}

const dayLengthMs = 86_400_000

/** The days of final windows of an hour, each once. */
export function daysOf(
  windows: readonly WindowValue[]
): readonly { readonly metric: string; readonly dayMs: number }[] {
  const days = new Map<string, { metric: string; dayMs: number }>()
  for (const { name, startMs, closed } of windows) {
    const [metric = '', granularity] = name.split(':')
    if (!closed || granularity !== '1h') continue
    const dayMs = startMs - (startMs % dayLengthMs)
    days.set(`${metric}:${dayMs}`, { metric, dayMs })
  }
  return [...days.values()]
}

/** Writes what waits of one project. Throws PIPE_REDIS_UNAVAILABLE and PIPE_POSTGRES_UNAVAILABLE; the rest waits on. */
export async function writeWaitingDays(deps: DaysDeps, live: LiveProject): Promise<void> {
  const { queue, postgres } = deps
  const recounts = await queue.recounts(live.project)
  if (recounts.length > 0) {
    await queueRecount(postgres, live.project, recounts, 'closed')
    await queue.removeRecounts(live.project, recounts)
  }
  for (const day of await queue.list(live.project)) {
    if (await writeOne(deps, live, day)) await queue.remove(live.project, day)
  }
}

/**
 * False when it has to wait: the definition is not read yet, or the epoch is another one by now. A day that is not held
 * whole any more stays as it was written.
 */
async function writeOne(deps: DaysDeps, live: LiveProject, { metric, dayMs }: DirtyDay): Promise<boolean> {
  const { reader, readUniques, definitionOf, postgres } = deps
  const { project } = live
  const definition = definitionOf(project, metric, dayMs + dayLengthMs - 1)
  if (definition === undefined && !sessionMetrics.includes(metric)) return false
  const kind = kindOfMetric(definition)
  const names = windowNames(metric, '1h', { fromMs: dayMs, toMs: dayMs + dayLengthMs })
  const { windows, epoch } = await reader.read(project, names)
  const hours = [...windows.values()].filter(({ closed }) => closed || kind === 'ratio')
  if (hours.length === 0) return true
  let uniques = new Map<string, number>()
  if (kind === 'unique') {
    const dimensions = dimensionsOf(hours)
    const held = hours.map(({ name }) => name)
    const reply = await readUniques(project, epoch, held, dimensions)
    if (reply.kind !== 'uniques') return false
    uniques = new Map(dimensions.map((dimension, index) => [dimension, reply.counts[index] ?? 0]))
  }
  // Read last: as long as its clock has not deleted the first hour, nothing of the day is gone in what was read before.
  const read = await reader.read(project, [])
  const goneAtMs = dayMs + granularities['1h'].lengthMs + granularities['1h'].keepMs
  if (read.epoch !== epoch) return false
  if (dayMs < read.completeFromMs || read.clockMs >= goneAtMs) return true
  const revision = [epoch, hours.reduce((sum, hour) => sum + hour.revision, 0)] as const
  const common = { projectId: project, metric, dayMs, capped: hours.some(({ capped }) => capped), revision }
  const values = mergeDay(hours, { kind, dimensions: definition?.dimensions ?? [] }, uniques)
  await storeDays(
    postgres,
    values.map((value) => ({ ...common, ...value, source: 'live' }))
  )
  return true
}
