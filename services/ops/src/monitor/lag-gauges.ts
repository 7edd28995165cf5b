// The view of a sample as series. Labels are groups and partition numbers, which are closed sets; topics, which name
// projects, are told by `millrace lag` and the alerts: a series of a partition number is that of all topics together.
import type { BoundGauge, BoundMetrics } from '@millrace/observability'
import type { LagRow, LagView } from '@millrace/operations/lag-book'
import type { monitorMetrics } from '../metrics.ts'

type Metrics = Pick<
  BoundMetrics<typeof monitorMetrics>,
  'lagRecords' | 'lagSeconds' | 'oldest' | 'produceRate' | 'partitions' | 'leaderChanges'
>

/** Creates the writer of these series; what is gone from a view is removed. */
export function createLagGauges(metrics: Metrics): (view: LagView) => void {
  const records = replaced(metrics.lagRecords)
  const seconds = replaced(metrics.lagSeconds)
  const oldest = replaced(metrics.oldest)
  const rates = replaced(metrics.produceRate)
  return ({ rows, partitions, leaderChanges }) => {
    const byGroup = [...Map.groupBy(rows, ({ group }) => group)]
    records(lagBy(byGroup, (of) => of.reduce((sum, row) => sum + row.records, 0)))
    seconds(lagBy(byGroup, oldestOf))
    oldest(byGroup.map(([group, of]) => [{ group }, oldestOf(of)]))
    rates(
      [...Map.groupBy(partitions, ({ partition }) => partition)].map(([partition, of]) => [
        { partition: String(partition) },
        of.reduce((sum, { produceRate }) => sum + produceRate, 0)
      ])
    )
    for (const [group, of] of byGroup)
      for (const state of ['behind', 'hot'] as const)
        metrics.partitions.set(of.filter((row) => row.state === state).length, { group, state })
    if (leaderChanges > 0) metrics.leaderChanges.add(leaderChanges)
  }
}

function lagBy(
  groups: readonly (readonly [string, readonly LagRow[]])[],
  value: (rows: readonly LagRow[]) => number
): readonly (readonly [{ group: string; partition: string }, number])[] {
  return groups.flatMap(([group, rows]) =>
    [...Map.groupBy(rows, ({ partition }) => partition)].map(
      ([partition, of]) => [{ group, partition: String(partition) }, value(of)] as const
    )
  )
}

function oldestOf(rows: readonly LagRow[]): number {
  return rows.reduce((most, { seconds = 0 }) => Math.max(most, seconds), 0)
}

/** Sets all values of a gauge; label sets that had a value before and have none now are removed. */
function replaced<L extends string>(
  gauge: BoundGauge<L>
): (values: readonly (readonly [Readonly<Record<L, string>>, number])[]) => void {
  const set = gauge.set as (value: number, labels: Readonly<Record<L, string>>) => void
  const remove = gauge.remove as (labels: Readonly<Record<L, string>>) => void
  let before = new Map<string, Readonly<Record<L, string>>>()
  return (values) => {
    const now = new Map<string, Readonly<Record<L, string>>>()
    for (const [labels, value] of values) {
      const key = Object.values(labels).join(' ')
      now.set(key, labels)
      before.delete(key)
      set(value, labels)
    }
    for (const labels of before.values()) remove(labels)
    before = now
  }
}
