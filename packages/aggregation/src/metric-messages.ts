// A window as the messages that tell of it: one for the whole window and one for each dimension. The aggregator emits
// them, and who reads the live state directly sees the same values under the same revisions.
import type { MetricKind, MetricMessage } from '@millrace/contracts'
import { unscaled, valueScale } from './metrics.ts'
import type { Granularity, Measure } from './metrics.ts'
import { totalDimension } from './windows.ts'
import type { WindowShare, WindowValue } from './window-value.ts'

/** Whose window it is, and what its numbers mean. */
export interface MessageContext {
  readonly project: string
  readonly epoch: number
  /** By `kindOfMetric`. */
  readonly kind: MetricKind
}

/** Metrics that closed sessions make (sessions.ts): a ratio whose denominator is the number of sessions. */
export const sessionMetrics: readonly string[] = ['bounce_rate', 'session_duration']

/** What the values of a metric are; `definition` is undefined for the metrics that sessions make. */
export function kindOfMetric(definition: { readonly measure: Measure } | undefined): MetricKind {
  return definition?.measure.kind ?? 'ratio'
}

/** The messages of a window, the whole window first. */
export function toMetricMessages(
  window: WindowValue,
  { project, epoch, kind }: MessageContext
): readonly MetricMessage[] {
  const { name, startMs, closed, capped, revision, values } = window
  const [metric = '', granularity] = name.split(':')
  const message = (dimension: string, share: WindowShare): MetricMessage => ({
    project,
    metric,
    kind,
    // Names are made of nothing else (windows.ts).
    granularity: granularity as Granularity,
    timestamp: startMs,
    ...(dimension === totalDimension ? {} : { dimension }),
    ...valueOf(share, kind),
    count: share.count,
    capped,
    revision: [epoch, revision],
    final: closed
  })
  const total = values.get(totalDimension)
  const others = [...values].filter(([dimension]) => dimension !== totalDimension)
  return [
    ...(total === undefined ? [] : [message(totalDimension, total)]),
    ...others.map(([dimension, share]) => message(dimension, share))
  ]
}

function valueOf(share: WindowShare, kind: MetricKind): Pick<MetricMessage, 'value' | 'numerator' | 'denominator'> {
  switch (kind) {
    case 'count':
      return { value: share.count }
    case 'unique':
      return { value: share.unique ?? 0 }
    case 'sum':
      return { value: unscaled(share.sum) }
    case 'min':
      return { value: (share.min ?? 0) / valueScale }
    case 'max':
      return { value: (share.max ?? 0) / valueScale }
    case 'ratio': {
      const numerator = Number(share.sum)
      const denominator = share.count
      return { value: denominator === 0 ? 0 : numerator / denominator, numerator, denominator }
    }
  }
}
