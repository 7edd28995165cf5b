// A range in the making: which records of a partition the next file holds, what it occupies, and when it is closed. Pure.
import type { ArchivedLog } from '@millrace/stores/archive-manifest'
import { archiveKey } from '@millrace/stores/archive-key'
import type { ArchiveFile } from '@millrace/stores/archive-manifest'
import { blockCrc } from './block.ts'
import type { Block, PackedRecord } from './block.ts'
import type { Held, SpooledFile } from './spool.ts'

/** When a range becomes a file, and what all of them may occupy. */
export interface RangeLimits {
  /** Bytes of keys, values and headers in one file. */
  readonly fileBytes: number
  /** Age of a range with at least `smallBytes`. */
  readonly flushAfterMs: number
  /** A range with less is the tail of a quiet partition and may wait until `tailAfterMs`. */
  readonly smallBytes: number
  readonly tailAfterMs: number
  /** Memory and disk of all ranges of the process. */
  readonly totalBytes: number
}

/** Offsets without a record; why is asked when the range is closed. */
export interface Gap {
  readonly first: bigint
  readonly last: bigint
}

export interface Range {
  /** Number of its file in the making. */
  readonly spool: number
  readonly first: bigint
  /** Offset after the last one it covers. */
  next: bigint
  rows: number
  rawBytes: number
  contentCrc: number
  readonly gaps: Gap[]
  firstAppendedAtMs: number
  lastAppendedAtMs: number
  /** Monotonic time of its first record. */
  readonly openedAtMs: number
  held: Held
  /** Set when the file is complete: nothing can be added any more. */
  file: SpooledFile | undefined
}

/** A range that begins at `first` and holds nothing yet. */
export function newRange(spool: number, first: bigint, openedAtMs: number): Range {
  return {
    spool,
    first,
    next: first,
    rows: 0,
    rawBytes: 0,
    contentCrc: 0,
    gaps: [],
    firstAppendedAtMs: -1,
    lastAppendedAtMs: -1,
    openedAtMs,
    held: { memoryBytes: 0, fileBytes: 0 },
    file: undefined
  }
}

/** Notes that the range goes on with `records`, packed as `block`, up to the offset `to`, holes included. */
export function extend(range: Range, records: readonly PackedRecord[], block: Block, to: bigint): void {
  for (const { offset } of records) {
    if (offset > range.next) range.gaps.push({ first: range.next, last: offset - 1n })
    range.next = offset + 1n
  }
  if (to > range.next) range.gaps.push({ first: range.next, last: to - 1n })
  range.next = to
  range.contentCrc = blockCrc(block, range.contentCrc)
  range.rows += block.count
  range.rawBytes += block.content.byteLength
  if (range.firstAppendedAtMs < 0) range.firstAppendedAtMs = records[0]?.appendedAtMs ?? -1
  range.lastAppendedAtMs = records.at(-1)?.appendedAtMs ?? range.lastAppendedAtMs
}

/** Whether the range is to be closed now. A range without a record is never due: there is nothing to keep. */
export function isDue(range: Range, limits: RangeLimits, nowMs: number): boolean {
  if (range.rows === 0) return false
  if (range.file !== undefined || range.rawBytes >= limits.fileBytes) return true
  const ageMs = nowMs - range.openedAtMs
  return ageMs >= (range.rawBytes >= limits.smallBytes ? limits.flushAfterMs : limits.tailAfterMs)
}

/** Memory and disk that a range occupies. */
export function heldBytes({ held, rows }: Range): number {
  return rows === 0 ? 0 : held.memoryBytes + held.fileBytes
}

/** The row of the manifest for a range whose file is complete. */
export function describeFile(log: ArchivedLog, range: Range, file: SpooledFile): ArchiveFile {
  const { topic, partition, epoch } = log
  const place = { topic, partition, epoch, first: range.first, last: range.next - 1n, sha256: file.sha256 }
  return {
    ...place,
    rows: range.rows,
    holes: range.gaps.reduce((sum, { first, last }) => sum + Number(last - first + 1n), 0),
    firstAppendedAtMs: range.firstAppendedAtMs,
    lastAppendedAtMs: range.lastAppendedAtMs,
    rawBytes: range.rawBytes,
    fileBytes: file.bytes,
    contentCrc: range.contentCrc,
    key: archiveKey(place)
  }
}
