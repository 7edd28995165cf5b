// Whether the log under a name is still the one that its archive was taken from: a topic may be deleted and made again.
import type { ArchiveHead } from './archive-manifest.ts'

/** What is asked of the log. */
export interface LogTimes {
  /** First offset whose append time is at or after `timeMs`, per partition; the end offset where there is none. */
  offsetsAt(topic: string, timeMs: number): Promise<ReadonlyMap<number, bigint>>
}

/** First offset that a partition still has, and the offset after its last record. */
export interface LogRange {
  readonly start: bigint
  readonly end: bigint
}

/**
 * Whether `range` may be of the log of which `head` archived the records before its position. Another log has fewer
 * records, or only such as were appended after the last one that was archived.
 */
export async function isSameLog(
  log: LogTimes,
  { topic, partition, position, appendedAtMs }: ArchiveHead,
  { start, end }: LogRange
): Promise<boolean> {
  if (end < position) return false
  if (appendedAtMs < 0 || start >= position) return true
  const later = (await log.offsetsAt(topic, appendedAtMs + 1)).get(partition)
  return later === undefined || later > start
}
