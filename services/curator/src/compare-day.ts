// What the live state had written of a day against what the warehouse counts. Pure. Each live value is the same, or there
// is a reason why it cannot be, or it is a difference that somebody has to look at.
import type { MetricKind } from '@millrace/contracts'
import type { DailyMetric, RecountReason } from '@millrace/operations/daily-metrics'
import type { HeldValue } from '@millrace/operations/recounts'
import type { CountedDay } from './count-day.ts'

export type Likeness = 'same' | 'explained' | 'approximate' | 'different'

export interface Difference {
  readonly metric: string
  readonly dimension: string
  readonly live: number
  /** Undefined: the warehouse has no such value. */
  readonly warehouse: number | undefined
}

export interface Comparison {
  readonly counts: Readonly<Record<Likeness, number>>
  /** What nothing explains, at most ten. */
  readonly differences: readonly Difference[]
}

/** Five standard errors of a HyperLogLog of Redis; the least members may all the same be off by a few. */
const uniqueTolerance = 5 * 0.0081
const fewMembers = 3

/** Reasons that say the live state saw the day whole. */
const wholeReasons: ReadonlySet<RecountReason> = new Set<RecountReason>(['nightly', 'requested'])

/** Compares the live values among `held` with the counted ones; values of the warehouse are passed over. */
export function compareDay(held: readonly HeldValue[], counted: CountedDay, reason: RecountReason): Comparison {
  const found = new Map(counted.values.map((value) => [keyOf(value), value]))
  const counts: Record<Likeness, number> = { same: 0, explained: 0, approximate: 0, different: 0 }
  const differences: Difference[] = []
  for (const live of held) {
    const kind = counted.metrics.get(live.metric)
    if (live.source !== 'live' || kind === undefined) continue
    const value = found.get(keyOf(live))
    const isExplained = counted.late > 0 || counted.changed.has(live.metric) || !wholeReasons.has(reason)
    const likeness = compare(live, value, kind, isExplained)
    counts[likeness]++
    if (likeness === 'different' && differences.length < 10)
      differences.push({
        metric: live.metric,
        dimension: live.dimensionValue,
        live: live.value,
        warehouse: value?.value
      })
  }
  return { counts, differences }
}

function compare(live: HeldValue, value: DailyMetric | undefined, kind: MetricKind, isExplained: boolean): Likeness {
  if (value !== undefined && isSame(live.value, value.value) && (live.denominator ?? 0) === (value.denominator ?? 0))
    return 'same'
  // Beyond the cap it depends on the order of arrival which dimensions are kept apart, and how much of each.
  if (isExplained || (live.capped && live.dimensionValue !== '')) return 'explained'
  if (kind === 'unique' && value !== undefined && isNear(live.value, value.value)) return 'approximate'
  return 'different'
}

function isSame(left: number, right: number): boolean {
  return Math.abs(left - right) <= 1e-9 * Math.max(Math.abs(left), Math.abs(right))
}

function isNear(live: number, exact: number): boolean {
  return Math.abs(live - exact) <= Math.max(fewMembers, uniqueTolerance * exact)
}

function keyOf({ metric, dimensionValue }: Pick<HeldValue, 'metric' | 'dimensionValue'>): string {
  return `${metric} ${dimensionValue}`
}
