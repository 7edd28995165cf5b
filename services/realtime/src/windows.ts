// The live state as the topics tell it, for snapshots.
import type { MetricMessage } from '@millrace/contracts'
import { kindOfMetric, sessionMetrics, toMetricMessages } from '@millrace/aggregation/metric-messages'
import { builtInMetrics } from '@millrace/aggregation/metrics'
import type { MetricDefinition } from '@millrace/aggregation/metrics'
import { isTransient } from '@millrace/kernel'
import { windowNames } from '@millrace/aggregation/window-reader'
import type { WindowReader } from '@millrace/aggregation/window-reader'
import { totalDimension } from '@millrace/aggregation/windows'
import type { ReadWindows } from './feeds/metric-feed.ts'

/** The definitions of a project's metrics that are in force. */
export type DefinitionsOf = (project: string) => Promise<readonly MetricDefinition[]>

/** The definitions that every project has. */
export function createDefinitions(): DefinitionsOf {
  const builtIn = builtInMetrics([])
  return async () => builtIn
}

/** Whether a project has a metric of that name; one whose definitions cannot be read may have it. */
export function createIsKnown(definitionsOf: DefinitionsOf): (project: string, metric: string) => Promise<boolean> {
  return async (project, metric) => {
    if (sessionMetrics.includes(metric)) return true
    try {
      return (await definitionsOf(project)).some(({ name }) => name === metric)
    } catch (error) {
      if (!isTransient(error)) throw error
      return true
    }
  }
}

/** Reads windows through `reader`. Windows that the live state did not see whole are left out. */
export function createReadWindows(reader: WindowReader, definitionsOf: DefinitionsOf): ReadWindows {
  return async ({ project, metric, granularity, fromMs, toMs, dimension }) => {
    const names = windowNames(metric, granularity, { fromMs, toMs })
    const only = dimension === '*' ? undefined : [dimension]
    const [definitions, read] = await Promise.all([definitionsOf(project), reader.read(project, names, only)])
    const kind = kindOfMetric(definitions.findLast(({ name }) => name === metric))
    const messages: MetricMessage[] = []
    for (const window of read.windows.values()) {
      if (window.startMs < read.completeFromMs) continue
      messages.push(...toMetricMessages(window, { project, epoch: read.epoch, kind }))
    }
    const wanted =
      dimension === '*' ? messages : messages.filter((each) => (each.dimension ?? totalDimension) === dimension)
    return { epoch: read.epoch, messages: wanted }
  }
}
