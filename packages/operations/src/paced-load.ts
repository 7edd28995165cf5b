// Records into the sink of the warehouse, at a rate, with progress.
import type { RawRecord } from '@millrace/contracts'
import type { Clock } from '@millrace/kernel'
import type { WarehouseSink } from './warehouse-sink.ts'

export interface LoadProgress {
  /** Records that are loaded, and all there are. */
  readonly done: number
  readonly of: number
  readonly elapsedMs: number
}

export interface PacedLoadOptions {
  readonly sink: Pick<WarehouseSink, 'add'>
  readonly clock: Clock
  /** Records a second at most; undefined: as fast as it goes. */
  readonly perSecond: number | undefined
  readonly total: number
  readonly onProgress: ((progress: LoadProgress) => void) | undefined
}

export interface PacedLoad {
  /** Resolves when there is room for the next records. Throws what the sink throws. */
  add(records: readonly RawRecord[]): Promise<void>
  /** Records that were added. */
  done(): number
}

/** Begins now: the rate counts from here. */
export function createPacedLoad({ sink, clock, perSecond, total, onProgress }: PacedLoadOptions): PacedLoad {
  const startedAtMs = clock.monotonic()
  let done = 0
  return {
    done: () => done,
    async add(records) {
      if (records.length === 0) return
      await sink.add(records)
      done += records.length
      const elapsedMs = clock.monotonic() - startedAtMs
      onProgress?.({ done: Math.min(done, total), of: total, elapsedMs })
      const dueMs = perSecond === undefined ? 0 : (done / perSecond) * 1_000
      if (dueMs > elapsedMs) await clock.sleep(dueMs - elapsedMs)
    }
  }
}
