// The live state as the topics tell it, for snapshots, and what metrics there are.
import { kindOfMetric, sessionMetrics, toMetricMessages } from '@millrace/aggregation/metric-messages'
import { windowNames } from '@millrace/aggregation/window-reader'
import type { WindowReader } from '@millrace/aggregation/window-reader'
import { totalDimension } from '@millrace/aggregation/windows'
import { AppError, isTransient } from '@millrace/kernel'
import type { MetricKind } from '@millrace/contracts'
import type { DefinitionCache } from '@millrace/operations/definition-cache'
import type { ReadWindows } from './feeds/metric-feed.ts'

type Definitions = Pick<DefinitionCache, 'of' | 'ageMs'>

/** Definitions this old may lack one that somebody added since: PostgreSQL is away. */
const unsureMs = 120_000

/** Reads windows through `reader`. Windows that the live state did not see whole are left out. */
export function createReadWindows(reader: WindowReader, definitions: Definitions): ReadWindows {
  return async ({ project, metric, granularity, fromMs, toMs, dimension }) => {
    const kind = kindOf(definitions, project, metric)
    // Subscribed to while definitions were old, and no such metric is there after all.
    if (kind === undefined) return { epoch: 0, messages: [] }
    const names = windowNames(metric, granularity, { fromMs, toMs })
    const { epoch, completeFromMs, windows } = await reader.read(
      project,
      names,
      dimension === '*' ? undefined : [dimension]
    )
    const whole = [...windows.values()].filter(({ startMs }) => startMs >= completeFromMs)
    const messages = whole.flatMap((window) => toMetricMessages(window, { project, epoch, kind }))
    const wanted = messages.filter((each) => dimension === '*' || (each.dimension ?? totalDimension) === dimension)
    return { epoch, messages: wanted }
  }
}

/** Whether a project has a metric of that name; while definitions are not known, or old, it may have it. */
export function createIsKnown(definitions: Definitions): (project: string, metric: string) => boolean {
  return (project, metric) => {
    if (sessionMetrics.includes(metric)) return true
    try {
      return definitions.of(project).some(({ name }) => name === metric) || definitions.ageMs() > unsureMs
    } catch (error) {
      if (!isTransient(error)) throw error
      return true
    }
  }
}

/**
 * All versions of a metric are of one kind; undefined when there is none. Throws PIPE_LIVE_STATE while that is not known.
 */
function kindOf(definitions: Definitions, project: string, metric: string): MetricKind | undefined {
  if (sessionMetrics.includes(metric)) return kindOfMetric(undefined)
  const definition = definitions.of(project).find(({ name }) => name === metric)
  if (definition !== undefined) return kindOfMetric(definition)
  if (definitions.ageMs() <= unsureMs) return undefined
  throw new AppError('PIPE_LIVE_STATE', `the definition of ${metric} is not known yet`)
}
