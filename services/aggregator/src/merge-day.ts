// The hours of a day -> the values of the day. Pure. Sums and counts add; distinct members are merged elsewhere and
// given, since they do not.
import type { Source } from '@millrace/aggregation/metrics'
import { valueScale } from '@millrace/aggregation/metrics'
import { totalDimension } from '@millrace/aggregation/windows'
import type { WindowShare, WindowValue } from '@millrace/aggregation/window-value'
import type { MetricKind } from '@millrace/contracts'

/** One value of one day: the whole of it (both texts empty) or one combination of dimensions. */
export interface DayValue {
  readonly dimensionKey: string
  readonly dimensionValue: string
  /** Of a ratio the numerator. */
  readonly value: number
  readonly denominator?: number
  readonly count: number
}

interface Total {
  count: number
  sum: bigint
  min: number | undefined
  max: number | undefined
}

/** The dimensions that occur in `hours`, each once. */
export function dimensionsOf(hours: readonly WindowValue[]): readonly string[] {
  return [...new Set(hours.flatMap(({ values }) => [...values.keys()]))]
}

/** The values of the day of `hours`; `uniques` are those of a metric that counts distinct members, by dimension. */
export function mergeDay(
  hours: readonly WindowValue[],
  { kind, dimensions }: { readonly kind: MetricKind; readonly dimensions: readonly Source[] },
  uniques: ReadonlyMap<string, number>
): readonly DayValue[] {
  const totals = new Map<string, Total>()
  for (const { values } of hours) for (const [dimension, share] of values) add(totals, dimension, share)
  const key = JSON.stringify(dimensions.map(({ name }) => name))
  return [...totals].map(([dimension, total]) => ({
    dimensionKey: dimension === totalDimension ? '' : key,
    dimensionValue: dimension,
    value: valueOf(total, kind, uniques.get(dimension) ?? 0),
    ...(kind === 'ratio' ? { denominator: total.count } : {}),
    count: total.count
  }))
}

function add(totals: Map<string, Total>, dimension: string, { count, sum, min, max }: WindowShare): void {
  const held = totals.get(dimension)
  if (held === undefined) return void totals.set(dimension, { count, sum, min, max })
  held.count += count
  held.sum += sum
  if (min !== undefined) held.min = Math.min(held.min ?? min, min)
  if (max !== undefined) held.max = Math.max(held.max ?? max, max)
}

function valueOf({ count, sum, min, max }: Total, kind: MetricKind, unique: number): number {
  switch (kind) {
    case 'count':
      return count
    case 'unique':
      return unique
    case 'sum':
      return Number(sum) / valueScale
    case 'min':
      return (min ?? 0) / valueScale
    case 'max':
      return (max ?? 0) / valueScale
    case 'ratio':
      return Number(sum)
  }
}
