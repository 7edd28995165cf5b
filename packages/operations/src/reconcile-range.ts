// Which part of a topic is compared: what the log has, and before it what the archive has, as far as that is asked for.
import type { Admin, PartitionRange } from '@millrace/kafka'
import { isSameLog } from '@millrace/stores/archive-log'
import type { ArchiveFile, ArchiveHead, ArchiveManifest } from '@millrace/stores/archive-manifest'
import { expiredParts } from './expired-parts.ts'
import { countOf, max, min } from './offsets.ts'
import type { ReplayPart } from './replay-rows.ts'

export interface RangeDeps {
  readonly admin: Pick<Admin, 'ranges' | 'offsetsAt' | 'groupOffsets'>
  /** Undefined: what retention took is not compared. */
  readonly manifest: Pick<ArchiveManifest, 'heads' | 'files' | 'holes'> | undefined
}

export interface RangeWanted {
  readonly topic: string
  readonly loadGroup: string
  /** Broker time. A range without a beginning begins with the log. */
  readonly fromMs: number | undefined
  readonly toMs: number | undefined
  /** Records at most. */
  readonly most: number
}

export interface Range {
  readonly parts: readonly ReplayPart[]
  /** What the log had when it was asked, by partition. */
  readonly log: ReadonlyMap<number, PartitionRange>
  /** Files with what the log does not have any more, partition by partition, in order. */
  readonly files: readonly ArchiveFile[]
  /** Offsets of `parts` that neither has. */
  readonly gone: readonly ReplayPart[]
  /** Records that the loaders have not come to. */
  readonly pending: bigint
  /** The loaders have a position in one partition at least. */
  readonly isPlaced: boolean
  /** The oldest records, which are left out since there are more than `most`. */
  readonly cut: bigint
}

/**
 * Up to where the loaders have been: what lies behind waits. The archive is taken by whole files. Throws
 * PIPE_KAFKA_UNAVAILABLE, PIPE_POSTGRES_UNAVAILABLE.
 */
export async function rangeOf(
  { admin, manifest }: RangeDeps,
  { topic, loadGroup, fromMs, toMs, most }: RangeWanted
): Promise<Range> {
  const committed = await admin.groupOffsets(loadGroup, topic)
  // Heads before ranges: no head of the present log is beyond its end then.
  const heads = fromMs === undefined ? undefined : await manifest?.heads(topic)
  // Times before ranges: where the log begins by then is not taken for the time that was asked for.
  const starts = fromMs === undefined ? new Map<number, bigint>() : await admin.offsetsAt(topic, fromMs)
  const ranges = await admin.ranges(topic)
  const archived =
    fromMs === undefined || manifest === undefined || heads === undefined
      ? noArchive
      : await archivedBelow({ admin, manifest }, { heads, ranges, starts, fromMs, toMs })
  const ends = toMs === undefined ? new Map<number, bigint>() : await admin.offsetsAt(topic, toMs)
  let pending = 0n
  const parts = ranges.map(({ partition, start, end }): ReplayPart => {
    const before = archived.get(partition)
    const from = before?.from ?? max(start, starts.get(partition) ?? start)
    const until = max(from, before?.until ?? ends.get(partition) ?? end)
    const to = max(from, min(until, committed.get(partition) ?? from))
    pending += until - to
    return { partition, from, to }
  })
  const newest = newestOf(parts, most)
  const inPart = newest.map((part) => ({ part, before: archived.get(part.partition) }))
  return {
    parts: newest,
    log: new Map(ranges.map((range) => [range.partition, range])),
    files: inPart.flatMap(({ part: { from, to }, before }) =>
      (before?.files ?? []).filter(({ first, last }) => last >= from && first < to)
    ),
    gone: inPart.flatMap(({ part, before }) => (before?.gone ?? []).flatMap((gone) => common(part, gone))),
    pending,
    isPlaced: committed.size > 0,
    cut: countOf(parts) - countOf(newest)
  }
}

/** What the archive has of a partition before the log begins, and what it lacks there. */
interface Archived {
  readonly from: bigint
  /** Undefined: up to the log, and on in it. */
  readonly until: bigint | undefined
  readonly files: readonly ArchiveFile[]
  readonly gone: readonly ReplayPart[]
}

const noArchive: ReadonlyMap<number, Archived> = new Map()

interface BelowWanted {
  readonly heads: readonly ArchiveHead[]
  /** The same that the rest of the range is made of: no record lies between the two. */
  readonly ranges: readonly PartitionRange[]
  /** Where the log has `fromMs`. */
  readonly starts: ReadonlyMap<number, bigint>
  readonly fromMs: number
  readonly toMs: number | undefined
}

async function archivedBelow(
  { admin, manifest }: { readonly admin: RangeDeps['admin']; readonly manifest: NonNullable<RangeDeps['manifest']> },
  { heads, ranges, starts, fromMs, toMs = Infinity }: BelowWanted
): Promise<ReadonlyMap<number, Archived>> {
  const found = new Map<number, Archived>()
  for (const range of ranges) {
    const { partition, start } = range
    if (start === 0n || (starts.get(partition) ?? start) > start) continue
    const named = heads.find((each) => each.partition === partition)
    const head = named !== undefined && (await isSameLog(admin, named, range)) ? named : undefined
    const below = head === undefined ? [] : (await manifest.files(head)).filter(({ first }) => first < start)
    const files = below.filter((file) => file.lastAppendedAtMs >= fromMs && file.firstAppendedAtMs < toMs)
    // Files follow each other from offset 0 up to the head.
    const end = head?.position ?? 0n
    const isEnded = below.some(({ lastAppendedAtMs }) => lastAppendedAtMs >= toMs)
    const [first] = files
    if (first === undefined && (isEnded || end >= start)) continue
    const gone: ReplayPart[] = head === undefined ? [] : [...(await expiredParts(manifest, head))]
    // Nothing tells when those were appended.
    if (!isEnded && end < start) gone.push({ partition, from: end, to: start })
    const newest = isEnded ? files.at(-1) : undefined
    const until = newest === undefined ? undefined : newest.last + 1n
    found.set(partition, { from: first?.first ?? end, until, files, gone })
  }
  return found
}

/** `parts` without what lies in one of `holes`. */
export function without(parts: readonly ReplayPart[], holes: readonly ReplayPart[]): readonly ReplayPart[] {
  let left = parts
  for (const hole of holes)
    left = left.flatMap((part) => {
      const [within] = common(part, hole)
      if (within === undefined) return [part]
      const around = [
        { ...part, to: within.from },
        { ...part, from: within.to }
      ]
      return around.filter(({ from, to }) => to > from)
    })
  return left
}

function common(part: ReplayPart, other: ReplayPart): readonly ReplayPart[] {
  const { partition } = part
  const [from, to] = [max(part.from, other.from), min(part.to, other.to)]
  return partition === other.partition && from < to ? [{ partition, from, to }] : []
}

/** The same share of each partition, so that they reach back about equally far. */
function newestOf(parts: readonly ReplayPart[], most: number): readonly ReplayPart[] {
  const total = countOf(parts)
  if (total <= most) return parts
  const kept = BigInt(Math.floor(most))
  return parts.map(({ partition, from, to }) => ({ partition, from: to - ((to - from) * kept) / total, to }))
}
