// What the log had forgotten before it was archived. Nothing has it any more.
import type { ArchivedLog, ArchiveManifest } from '@millrace/stores/archive-manifest'
import type { LogPart } from './read-log.ts'

/** The parts of `log` that are declared `expired`; offsets that never were a record are no loss. Throws PIPE_POSTGRES_UNAVAILABLE. */
export async function expiredParts(
  manifest: Pick<ArchiveManifest, 'holes'>,
  log: ArchivedLog
): Promise<readonly LogPart[]> {
  const { topic, partition } = log
  const holes = await manifest.holes(log)
  return holes.flatMap(({ first, last, reason }) =>
    reason === 'expired' ? [{ topic, partition, from: first, to: last + 1n }] : []
  )
}
