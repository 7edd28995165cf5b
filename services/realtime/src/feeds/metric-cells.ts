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
  readonly revision: Revision
  readonly json: string
}

const everyDimension = '*'

/** Empty cells. */
export function createMetricCells(options: CellsOptions): MetricCells {
  const { lengthMs, windows, dimension: wanted, maxCells } = options
  /** By start of the window, by dimension. */
  const held = new Map<number, Map<string, Cell>>()
  let size = 0
  let changed = new Set<Cell>()
  let epoch = 0

  const oldestMs = (nowMs: number): number => nowMs - (nowMs % lengthMs) - (windows - 1) * lengthMs
  const put = (message: MetricMessage, nowMs: number): boolean => {
    const { timestamp: startMs, dimension = '', revision } = message
    if (dimension !== wanted && (wanted !== everyDimension || dimension === '')) return false
    // A window of the future comes of a client's clock; it is shown when its time has come.
    if (startMs < oldestMs(nowMs) || startMs > nowMs) return false
    const window = held.get(startMs) ?? new Map<string, Cell>()
    const before = window.get(dimension)
    if (before !== undefined && compareRevisions(revision, before.revision) <= 0) return false
    if (before === undefined && !makeRoom(startMs)) return false
    if (before === undefined) size++
    else changed.delete(before)
    const cell = { revision, json: toJson(message) }
    held.set(startMs, window.set(dimension, cell))
    changed.add(cell)
    return true
  }
  /** Drops the oldest window when there is no room for one more value of `startMs`; false when that is the oldest. */
  const makeRoom = (startMs: number): boolean => {
    if (size < maxCells) return true
    const oldest = Math.min(...held.keys())
    // What is shown already does not disappear for a newcomer of its own window.
    if (oldest >= startMs) return false
    dropWindow(oldest)
    return true
  }
  const dropWindow = (startMs: number): void => {
    const window = held.get(startMs)
    held.delete(startMs)
    for (const cell of window?.values() ?? []) {
      size--
      changed.delete(cell)
    }
  }
  const evict = (nowMs: number): void => {
    const from = oldestMs(nowMs)
    for (const startMs of held.keys()) if (startMs < from) dropWindow(startMs)
  }
  /** Drops values of epochs before `newEpoch`; true when there were some. */
  const dropEpochsBefore = (newEpoch: number): boolean => {
    const before = size
    for (const window of held.values()) {
      for (const [dimension, cell] of window) {
        if (cell.revision[0] >= newEpoch) continue
        window.delete(dimension)
        changed.delete(cell)
        size--
      }
    }
    return size < before
  }
  const texts = (cells: Iterable<Cell>): string => `[${Array.from(cells, ({ json }) => json).join(',')}]`

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
      epoch = newEpoch
      const dropped = dropEpochsBefore(newEpoch)
      for (const message of messages) put(message, nowMs)
      return dropped
    },
    all(nowMs) {
      evict(nowMs)
      return texts([...held.values()].flatMap((window) => [...window.values()]))
    },
    takeChanges() {
      if (changed.size === 0) return undefined
      const taken = changed
      changed = new Set()
      return texts(taken)
    }
  }
}

/** The value as clients see it: what the channel says already is left out. */
function toJson(message: MetricMessage): string {
  const { timestamp, dimension, value, numerator, denominator, count, capped, revision, final } = message
  return JSON.stringify({ timestamp, dimension, value, numerator, denominator, count, capped, revision, final })
}
