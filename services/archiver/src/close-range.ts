// From a range to a part of the archive: complete the file, store it, and move the head of the partition by
// compare-and-set. Any step may fail and be done again, or be done by two owners at once: only the last one counts.
import { createReadStream } from 'node:fs'
import type { Clock } from '@millrace/kernel'
import type { TopicPartition } from '@millrace/kafka'
import type { BoundMetrics } from '@millrace/observability'
import type { ArchivedLog, ArchiveHole, ArchiveManifest } from '@millrace/stores/archive-manifest'
import type { ObjectSource, ObjectStore } from '@millrace/stores/object-store'
import type { Encoder } from './encoder.ts'
import type { archiverMetrics } from './metrics.ts'
import { describeFile } from './range.ts'
import type { Gap, Range } from './range.ts'
import type { SpooledFile } from './spool.ts'

export interface CloseDeps {
  readonly manifest: Pick<ArchiveManifest, 'claim'>
  readonly objects: Pick<ObjectStore, 'put'>
  readonly encoder: Pick<Encoder, 'finish'>
  /** First offset that the log still has. */
  readonly logStart: (partition: TopicPartition) => Promise<bigint>
  readonly metrics: BoundMetrics<typeof archiverMetrics>
  readonly clock: Clock
  readonly faults: { at(label: string): void | Promise<void> }
}

/**
 * Makes `range` part of the archive and resolves with the position of the head: behind the range, or wherever another
 * owner brought it meanwhile. Throws PIPE_SPOOL_UNAVAILABLE when the range has to be read again, and
 * PIPE_OBJECTS_UNAVAILABLE, PIPE_POSTGRES_UNAVAILABLE, PIPE_KAFKA_UNAVAILABLE when it has to be tried again.
 */
export type CloseRange = (log: ArchivedLog, range: Range, signal: AbortSignal) => Promise<bigint>

/** See `CloseRange`. */
export function createCloseRange(deps: CloseDeps): CloseRange {
  const { manifest, objects, encoder, logStart, metrics, clock, faults } = deps
  return async (log, range, signal) => {
    const startedAtMs = clock.monotonic()
    const file = (range.file ??= await encoder.finish(range.spool))
    const described = describeFile(log, range, file)
    const holes = range.gaps.length === 0 ? [] : explain(range.gaps, await logStart(log))
    await faults.at('archiver.before-put')
    await objects.put(described.key, sourceOf(file), signal)
    await faults.at('archiver.after-put')
    const claim = await manifest.claim(described, holes)
    await faults.at('archiver.after-claim')
    metrics.files.add(1, { outcome: claim.kind })
    metrics.closeSeconds.observe((clock.monotonic() - startedAtMs) / 1_000)
    if (claim.kind === 'moved') return claim.position
    metrics.rows.add(range.rows)
    metrics.bytes.add(range.rawBytes, { form: 'raw' })
    metrics.bytes.add(file.bytes, { form: 'file' })
    for (const { first, last, reason } of holes) metrics.holes.add(Number(last - first + 1n), { reason })
    return range.next
  }
}

/** Why the log did not have these offsets: it begins behind them by now, or they never were records. */
function explain(gaps: readonly Gap[], start: bigint): readonly ArchiveHole[] {
  return gaps.map(({ first, last }) => ({ first, last, reason: last < start ? 'expired' : 'absent' }))
}

/** The bytes of a file that has no name any more. */
function sourceOf({ fd, bytes }: SpooledFile): ObjectSource {
  return { bytes, open: () => createReadStream('', { fd, start: 0, autoClose: false }) }
}
