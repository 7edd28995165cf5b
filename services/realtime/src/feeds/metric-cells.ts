// The values that one subscription to a metric shows. Pure: values come in any order and more than once, from the topic
// and from snapshots, and the highest revision of each stays.
import { compareRevisions } from '@millrace/contracts'
import type { MetricMessage, Revision } from '@millrace/contracts'

export interface CellsOptions {
  readonly lengthMs: number
  /** Windows back from now, the one that runs included. */
  readonly windows: number
  /** A dimension as messages name it; '': the whole window; `*`: each of them. */
  readonly dimension: string
  /** Values kept at most, the newest windows first. */
  readonly maxCells: number
}

export interface MetricCells {
  /** Takes a value in. `newer`: of a newer epoch than all before, so that the others have to be read again. */
  apply(message: MetricMessage, nowMs: number): 'changed' | 'kept' | 'newer'
  /** Takes a snapshot in; values of earlier epochs go. True when there were some: what was sent holds no longer. */
  load(epoch: number, messages: readonly MetricMessage[], nowMs: number): boolean
  /** Every value as a JSON array. */
  all(nowMs: number): string
  /** Values that changed since the last call as a JSON array; undefined: none. */
  takeChanges(): string | undefined
  /** Start of the oldest window that is shown. */
  oldestMs(nowMs: number): number
}

interface Cell {
  readonly startMs: number
  readonly revision: Revision
  readonly json: string
}

const everyDimension = '*'

/** Empty cells. */
export function createMetricCells(options: CellsOptions): MetricCells {
  const { lengthMs, windows, dimension: wanted, maxCells } = options
  const cells = new Map<string, Cell>()
  const changed = new Set<string>()
  let epoch = 0

  const oldestMs = (nowMs: number): number => nowMs - (nowMs % lengthMs) - (windows - 1) * lengthMs
  const put = (message: MetricMessage, nowMs: number): boolean => {
    const { timestamp: startMs, dimension = '', revision } = message
    if (dimension !== wanted && (wanted !== everyDimension || dimension === '')) return false
    // A window of the future comes of a client's clock; it is shown when its time has come.
    if (startMs < oldestMs(nowMs) || startMs > nowMs) return false
    const key = `${startMs}${dimension}`
    const held = cells.get(key)
    if (held !== undefined && compareRevisions(revision, held.revision) <= 0) return false
    cells.set(key, { startMs, revision, json: toJson(message) })
    changed.add(key)
    if (cells.size > maxCells) dropOldest(key)
    return true
  }
  const dropOldest = (added: string): void => {
    let oldest: readonly [string, Cell] | undefined
    for (const entry of cells) if (oldest === undefined || entry[1].startMs < oldest[1].startMs) oldest = entry
    // Within one window the newcomer goes: what is shown already does not disappear.
    const addedCell = cells.get(added)
    drop(oldest === undefined || oldest[1].startMs === addedCell?.startMs ? added : oldest[0])
  }
  const drop = (key: string): void => {
    cells.delete(key)
    changed.delete(key)
  }
  const evict = (nowMs: number): void => {
    const from = oldestMs(nowMs)
    for (const [key, { startMs }] of cells) if (startMs < from) drop(key)
  }

  return {
    oldestMs,
    apply(message, nowMs) {
      const { revision } = message
      if (revision[0] < epoch) return 'kept'
      if (revision[0] > epoch && epoch !== 0) return 'newer'
      return put(message, nowMs) ? 'changed' : 'kept'
    },
    load(newEpoch, messages, nowMs) {
      // Redis that lost its state answers an older epoch: what is held came from the log and stays.
      if (newEpoch < epoch) return false
      let dropped = false
      epoch = newEpoch
      for (const [key, { revision }] of cells) {
        if (revision[0] >= newEpoch) continue
        drop(key)
        dropped = true
      }
      for (const message of messages) put(message, nowMs)
      return dropped
    },
    all(nowMs) {
      evict(nowMs)
      return `[${[...cells.values()].map(({ json }) => json).join(',')}]`
    },
    takeChanges() {
      if (changed.size === 0) return undefined
      const texts: string[] = []
      for (const key of changed) {
        const cell = cells.get(key)
        if (cell !== undefined) texts.push(cell.json)
      }
      changed.clear()
      return `[${texts.join(',')}]`
    }
  }
}

/** The value as clients see it: what the channel says already is left out. */
function toJson(message: MetricMessage): string {
  const { timestamp, dimension, value, numerator, denominator, count, capped, revision, final } = message
  return JSON.stringify({ timestamp, dimension, value, numerator, denominator, count, capped, revision, final })
}
