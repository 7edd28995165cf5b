// A part of the archive that is loaded into the warehouse again: which files hold it, what stands against it, and its
// loading. The group of the loaders is not touched: a row is a pure function of its record, and rows of one event collapse.
import { rawTopic } from '@millrace/contracts'
import type { RawRecord } from '@millrace/contracts'
import type { Admin } from '@millrace/kafka'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { ArchiveFile, ArchiveHead, ArchiveManifest } from '@millrace/stores/archive-manifest'
import type { ObjectStore } from '@millrace/stores/object-store'
import { expiredParts } from './expired-parts.ts'
import { countOf, max, min } from './offsets.ts'
import { createPacedLoad } from './paced-load.ts'
import type { LoadProgress } from './paced-load.ts'
import type { LogPart } from './read-log.ts'
import { againstLimit, edgeText } from './replay-plan.ts'
import type { GroupPlan, PlannedPart, ReplayEdge } from './replay-plan.ts'
import { loadFile } from './warehouse-rebuild.ts'
import type { BrokenFile } from './warehouse-rebuild.ts'
import type { SinkCounts, WarehouseSink } from './warehouse-sink.ts'

export interface ArchiveRangeRequest {
  readonly projectId: string
  /** The group of the loaders, which is only named. */
  readonly group: string
  /** `all`: where the archive of a partition begins. */
  readonly from: ReplayEdge
  /** `all`: where it ends. */
  readonly to: ReplayEdge
  /** More records than this are refused. */
  readonly limit: bigint
  /** A range with offsets that are gone for good is not refused. */
  readonly acceptGone: boolean
}

export interface ArchiveRangeDeps {
  readonly manifest: Pick<ArchiveManifest, 'heads' | 'files' | 'holes'>
  readonly admin: Pick<Admin, 'listTopics' | 'ranges'>
}

export interface ArchiveRangePlan extends GroupPlan {
  /** In the order of partition and offset; those that hold a record of the range. */
  readonly files: readonly ArchiveFile[]
  /** Offsets of the range that the log had forgotten before they were archived. */
  readonly gone: readonly LogPart[]
  /** Append times that are asked for: from the first one on, before the second one. */
  readonly appended: { readonly fromMs: number | undefined; readonly beforeMs: number | undefined }
}

interface Wanted {
  readonly head: ArchiveHead
  readonly part: PlannedPart
  readonly files: readonly ArchiveFile[]
  /** At most: a file that is cut in the middle may have holes there. */
  readonly records: bigint
  readonly refusals: readonly string[]
}

/**
 * The plan, of the newest log under the name of the project's. Throws PIPE_NOT_FOUND for a project without an archive,
 * PIPE_INVALID_INPUT for a partition that it does not have, and PIPE_POSTGRES_UNAVAILABLE, PIPE_KAFKA_UNAVAILABLE.
 */
export async function planArchiveRange(
  { manifest, admin }: ArchiveRangeDeps,
  { projectId, group, from, to, limit, acceptGone }: ArchiveRangeRequest
): Promise<ArchiveRangePlan> {
  const topic = rawTopic(projectId)
  const heads = await manifest.heads(topic)
  if (heads.length === 0) throw new AppError('PIPE_NOT_FOUND', `there is no archive of '${projectId}'`)
  againstUnknown(heads, from)
  againstUnknown(heads, to)
  const all = await manifest.files({ topic })
  const hasLog = (await admin.listTopics()).includes(topic)
  const ends = new Map((hasLog ? await admin.ranges(topic) : []).map(({ partition, end }) => [partition, end]))
  const wanted = heads
    .filter(({ partition }) => from.kind !== 'offsets' || from.offsets.has(partition))
    .map((head) => {
      const files = all.filter(({ partition, epoch }) => partition === head.partition && epoch === head.epoch)
      return planPart({ head, files, hasMore: (ends.get(head.partition) ?? 0n) > head.position }, from, to)
    })
  const records = wanted.reduce((sum, each) => sum + each.records, 0n)
  const gone = await goneIn(manifest, wanted)
  return {
    projectId,
    kind: 'load',
    group,
    topic,
    mode: 'beside',
    effect: 'reads',
    consequence:
      'rows of the archive are loaded by this command: same key, nothing counts twice; the group of the loaders stays where it is',
    source: `${edgeText(from, 'the beginning of the archive')} to ${edgeText(to, 'its end')}, from the archive`,
    parts: wanted.map(({ part }) => part),
    records,
    refusals: [
      ...wanted.flatMap(({ refusals }) => refusals),
      ...(acceptGone ? [] : againstGone(gone)),
      ...(records === 0n ? ['there is no record in this range of the archive'] : []),
      ...againstLimit(records, limit)
    ],
    files: wanted.flatMap(({ files }) => files),
    gone,
    appended: {
      fromMs: from.kind === 'time' ? from.ms : undefined,
      beforeMs: to.kind === 'time' ? to.ms : undefined
    }
  }
}

interface Archived {
  readonly head: ArchiveHead
  readonly files: readonly ArchiveFile[]
  /** The log has records behind it. */
  readonly hasMore: boolean
}

function planPart(archived: Archived, from: ReplayEdge, to: ReplayEdge): Wanted {
  const { head, files } = archived
  const { partition } = head
  const end = endOf(archived, to)
  const start = min(beginOf(archived, from), end)
  const fromMs = from.kind === 'time' ? from.ms : -Infinity
  const beforeMs = to.kind === 'time' ? to.ms : Infinity
  const held = files.filter(
    ({ first, last, firstAppendedAtMs, lastAppendedAtMs }) =>
      first < end && last >= start && lastAppendedAtMs >= fromMs && firstAppendedAtMs < beforeMs
  )
  return {
    head,
    part: {
      partition,
      from: start,
      to: end,
      fromMs: held[0]?.firstAppendedAtMs,
      toMs: held.at(-1)?.lastAppendedAtMs
    },
    files: held,
    records: held.reduce((sum, file) => sum + recordsWithin(file, start, end), 0n),
    refusals: [...againstBegin(archived, from), ...againstEnd(archived, to)]
  }
}

function recordsWithin({ first, last, rows }: ArchiveFile, from: bigint, to: bigint): bigint {
  if (first >= from && last < to) return BigInt(rows)
  return min(min(last + 1n, to) - max(first, from), BigInt(rows))
}

function beginOf({ head, files }: Archived, from: ReplayEdge): bigint {
  if (from.kind === 'offset') return from.offset
  if (from.kind === 'offsets') return from.offsets.get(head.partition) ?? head.position
  const found = from.kind === 'time' ? files.find(({ lastAppendedAtMs }) => lastAppendedAtMs >= from.ms) : files[0]
  return found?.first ?? head.position
}

function endOf({ head, files }: Archived, to: ReplayEdge): bigint {
  if (to.kind === 'offset') return to.offset
  if (to.kind === 'offsets') return to.offsets.get(head.partition) ?? head.position
  if (to.kind === 'all') return head.position
  const found = files.findLast(({ firstAppendedAtMs }) => firstAppendedAtMs < to.ms)
  return found === undefined ? 0n : found.last + 1n
}

function againstBegin({ head, files }: Archived, from: ReplayEdge): readonly string[] {
  const [first] = files
  const begins = first?.first ?? head.position
  const isBefore =
    from.kind === 'offset' || from.kind === 'offsets'
      ? beginOf({ head, files, hasMore: false }, from) < begins
      : from.kind === 'time' && begins > 0n && (first?.firstAppendedAtMs ?? Infinity) > from.ms
  if (!isBefore) return []
  return [`the archive of partition ${head.partition} begins at ${begins}; --from-offset earliest takes what there is`]
}

/** What is not archived yet is in the log, and a range that ends early in silence is worse than none. */
function againstEnd({ head, hasMore }: Archived, to: ReplayEdge): readonly string[] {
  const wanted = to.kind === 'offset' ? to.offset : to.kind === 'offsets' ? to.offsets.get(head.partition) : undefined
  const isBehind =
    wanted === undefined ? to.kind === 'time' && hasMore && head.appendedAtMs < to.ms : wanted > head.position
  if (!isBehind) return []
  return [
    `partition ${head.partition} is archived up to ${head.position}; what lies behind is replayed from the log, without --from-archive`
  ]
}

/** What is gone of the parts. */
async function goneIn(
  manifest: ArchiveRangeDeps['manifest'],
  wanted: readonly Pick<Wanted, 'head' | 'part'>[]
): Promise<readonly LogPart[]> {
  const gone: LogPart[] = []
  for (const { head, part } of wanted)
    for (const expired of await expiredParts(manifest, head)) {
      const within = { ...expired, from: max(expired.from, part.from), to: min(expired.to, part.to) }
      if (within.from < within.to) gone.push(within)
    }
  return gone
}

function againstGone(gone: readonly LogPart[]): readonly string[] {
  if (gone.length === 0) return []
  return [
    `${countOf(gone)} offsets of this range are gone, neither the archive nor the log has them; --accept-gone loads the others`
  ]
}

function againstUnknown(heads: readonly ArchiveHead[], edge: ReplayEdge): void {
  if (edge.kind !== 'offsets') return
  const unknown = [...edge.offsets.keys()].find((partition) => heads.every((head) => head.partition !== partition))
  if (unknown !== undefined) throw new AppError('PIPE_INVALID_INPUT', `the archive has no partition ${unknown}`)
}

export interface ArchiveRangeReport extends SinkCounts {
  readonly files: number
  readonly archived: number
  readonly broken: readonly BrokenFile[]
  /** As in the plan. */
  readonly gone: readonly LogPart[]
  /** Nothing of the range is missing. */
  readonly isWhole: boolean
  readonly elapsedMs: number
}

export interface LoadRangeDeps {
  readonly objects: Pick<ObjectStore, 'get'>
  readonly sink: WarehouseSink
  readonly clock: Clock
  readonly onProgress?: (progress: LoadProgress) => void
}

/**
 * Loads what `plan` names; again after any end is harmless. What cannot be loaded is part of the report. Throws
 * PIPE_CONFLICT when the plan is refused, and as `rebuildWarehouse` when something does not answer.
 */
export async function loadArchiveRange(
  { objects, sink, clock, onProgress }: LoadRangeDeps,
  plan: ArchiveRangePlan,
  perSecond: number | undefined
): Promise<ArchiveRangeReport> {
  const { files, parts, refusals, appended, projectId, gone } = plan
  if (refusals.length > 0) throw new AppError('PIPE_CONFLICT', `${projectId}: ${refusals.join('; ')}`)
  const startedAtMs = clock.monotonic()
  await sink.check()
  const load = createPacedLoad({ sink, clock, perSecond, total: Number(plan.records), onProgress })
  const ranges = new Map(parts.map((part) => [part.partition, part]))
  const { fromMs = -Infinity, beforeMs = Infinity } = appended
  const isWanted = ({ partition, offset, appendedAtMs }: RawRecord): boolean => {
    const range = ranges.get(partition)
    if (range === undefined || offset < range.from || offset >= range.to) return false
    return appendedAtMs >= fromMs && appendedAtMs < beforeMs
  }
  const broken: BrokenFile[] = []
  for (const file of files) {
    const problem = await loadFile(objects, file, (records) => load.add(records.filter(isWanted)))
    if (problem !== undefined) broken.push({ key: file.key, problem })
  }
  const { invalid, refused, days } = await sink.end()
  const isWhole = broken.length === 0 && refused.length === 0 && gone.length === 0
  const elapsedMs = clock.monotonic() - startedAtMs
  const counts = { files: files.length - broken.length, archived: load.done(), invalid, refused, broken }
  return { ...counts, gone, days, isWhole, elapsedMs }
}
