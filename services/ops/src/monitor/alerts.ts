// Alerts about lag: one per group, topic and kind, raised when the rule of hot partitions holds for a partition, taken back
// when none of its partitions was behind for a minute. Pure.
import type { LagRow, LagView } from '@millrace/operations/lag-book'

/** `hot-partition`: a partition far behind the others of its topic. `lag`: partitions that are behind together. */
export type AlertKind = 'hot-partition' | 'lag'

export const alertKinds: readonly AlertKind[] = ['hot-partition', 'lag']

export interface Alert {
  readonly kind: AlertKind
  readonly group: string
  readonly topic: string
  /** Those that are concerned now, the furthest behind first. */
  readonly partitions: readonly number[]
  /** Behind, over these partitions. */
  readonly records: number
  /** Age of the oldest record that was not taken. */
  readonly seconds: number
  readonly sinceMs: number
  /** One sentence for people. */
  readonly text: string
}

export interface AlertChanges {
  readonly raised: readonly Alert[]
  readonly cleared: readonly Alert[]
}

export interface Alerts {
  /** Takes in what the last sample says. */
  observe(view: LagView): AlertChanges
  /** The oldest first. */
  active(): readonly Alert[]
}

/** No alert is active. */
export function createAlerts(): Alerts {
  const active = new Map<string, Alert>()
  return {
    observe({ rows, atMs }) {
      if (active.size === 0 && rows.every(({ state }) => state === 'fine')) return { raised: [], cleared: [] }
      const raised: Alert[] = []
      const cleared: Alert[] = []
      const byTopic = Map.groupBy(rows, ({ group, topic }) => `${group} ${topic}`)
      for (const [name, own] of byTopic) {
        for (const kind of alertKinds) {
          const key = `${kind} ${name}`
          const before = active.get(key)
          const found = concernedBy(kind, own)
          // While it is active, partitions stay in it until they are calm: a saw-tooth does not ring twice.
          const kept = own.filter(({ partition, calm }) => !calm && before?.partitions.includes(partition) === true)
          const concerned = found.length > 0 || before === undefined ? found : kept
          if (concerned.length > 0) {
            const alert = toAlert(kind, concerned, before?.sinceMs ?? atMs)
            active.set(key, alert)
            if (before === undefined) raised.push(alert)
          } else if (before !== undefined) {
            active.delete(key)
            cleared.push(before)
          }
        }
      }
      for (const [key, alert] of active) {
        if (byTopic.has(`${alert.group} ${alert.topic}`)) continue
        // A group that could not be asked keeps its alerts; a topic that is gone has none.
        if (!rows.some(({ group }) => group === alert.group)) continue
        active.delete(key)
        cleared.push(alert)
      }
      return { raised, cleared }
    },
    active: () => [...active.values()].toSorted((left, right) => left.sinceMs - right.sinceMs)
  }
}

/** A topic with a hot partition has no alert about lag besides. */
function concernedBy(kind: AlertKind, rows: readonly LagRow[]): readonly LagRow[] {
  const hot = rows.filter(({ state }) => state === 'hot')
  if (kind === 'hot-partition') return hot
  return hot.length > 0 ? [] : rows.filter(({ state }) => state === 'behind')
}

function toAlert(kind: AlertKind, rows: readonly LagRow[], sinceMs: number): Alert {
  const sorted = rows.toSorted((left, right) => right.records - left.records)
  const [{ group, topic }] = sorted as [LagRow, ...LagRow[]]
  const partitions = sorted.map(({ partition }) => partition)
  const records = sorted.reduce((sum, row) => sum + row.records, 0)
  const seconds = Math.round(Math.max(...sorted.map((row) => row.seconds ?? 0)))
  const which = `partition${partitions.length === 1 ? '' : 's'} ${partitions.join(', ')} of ${topic}`
  const what = kind === 'hot-partition' ? 'is far behind in' : 'is behind in'
  const text = `group ${group} ${what} ${which}: ${records} records, the oldest ${seconds} s old`
  return { kind, group, topic, partitions, records, seconds, sinceMs, text }
}
