// What a replay would do: for each group which part of which partition, how many records, from when to when, what follows
// for those who see it, and what stands against it. Nothing is changed.
import { projectOfTopic, rawTopic } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import type { Admin, PartitionRange } from '@millrace/kafka'
import type { ArchiveManifest } from '@millrace/stores/archive-manifest'
import { appendTimes } from './append-times.ts'
import { countOf, max, min } from './offsets.ts'
import type { ReadLogDeps } from './read-log.ts'
import type { ReplayMode, ReplayPart } from './replay-rows.ts'

/** Groups that are known, by what their workers do. */
export const replayKinds = ['process', 'load', 'record', 'archive', 'aggregate'] as const
export type ReplayKind = (typeof replayKinds)[number]

/** One side of a range: offsets (one for all partitions, or by partition), broker time, or an end of the log. */
export type ReplayEdge =
  | { readonly kind: 'offset'; readonly offset: bigint }
  | { readonly kind: 'offsets'; readonly offsets: ReadonlyMap<number, bigint> }
  | { readonly kind: 'time'; readonly ms: number }
  /** From: what the log still has. To: what the group has done. */
  | { readonly kind: 'all' }

export interface ReplayRequest {
  readonly projectId: string
  readonly kind: ReplayKind
  /** The consumer group; deployments may have other names than the kind. */
  readonly group: string
  readonly mode: ReplayMode
  readonly from: ReplayEdge
  readonly to: ReplayEdge
  /** More records than this are refused. */
  readonly limit: bigint
}

export interface PlanDeps {
  readonly admin: Pick<Admin, 'listTopics' | 'ranges' | 'offsetsAt' | 'groupOffsets'>
  /** Undefined: the append times of both ends are not looked up. */
  readonly log: ReadLogDeps | undefined
  readonly manifest: Pick<ArchiveManifest, 'heads'>
}

export interface PlannedPart extends ReplayPart {
  /** Append times of the first and the last record; undefined for an empty part. */
  readonly fromMs: number | undefined
  readonly toMs: number | undefined
}

/** `reads`: workers read it again. `epoch`: a new live state is built beside the one in force. `nothing`: no effect at all. */
export type ReplayEffect = 'reads' | 'epoch' | 'nothing'

export interface GroupPlan {
  readonly projectId: string
  readonly kind: ReplayKind
  readonly group: string
  readonly topic: string
  readonly mode: ReplayMode
  readonly effect: ReplayEffect
  /** What follows for whoever reads the results. */
  readonly consequence: string
  readonly source: string
  readonly parts: readonly PlannedPart[]
  readonly records: bigint
  /** Why it may not begin; empty = it may. */
  readonly refusals: readonly string[]
}

const consequences: Readonly<Record<ReplayKind, { readonly effect: ReplayEffect; readonly text: string }>> = {
  process: {
    effect: 'reads',
    text: 'consumers of the processed topic see these events once more, marked replay=1; sockets do not show them; nothing else changes'
  },
  load: {
    effect: 'reads',
    text: 'the warehouse gets rows that it has: same key, nothing counts twice; inserts, and merging until the parts are merged, cost'
  },
  record: {
    effect: 'reads',
    text: 'rows that are there stay as they are; missing ones within the retention come back'
  },
  archive: {
    effect: 'nothing',
    text: 'the archive goes on where its head says, whatever the offsets of its group: nothing would be read'
  },
  aggregate: {
    effect: 'epoch',
    text: 'the live state is never read again in place: a new epoch is built beside it and takes its place; final windows and closed sessions are told anew with a higher revision'
  }
}

/**
 * The plan for one group. Throws PIPE_NOT_FOUND for a project without a log, PIPE_INVALID_INPUT for a partition that does
 * not exist, and PIPE_KAFKA_UNAVAILABLE, PIPE_POSTGRES_UNAVAILABLE.
 */
export async function planReplay(deps: PlanDeps, request: ReplayRequest): Promise<GroupPlan> {
  const { admin, log } = deps
  const { projectId, kind, group, mode } = request
  const topic = rawTopic(projectId)
  if (projectOfTopic(topic) === undefined || !(await admin.listTopics()).includes(topic))
    throw new AppError('PIPE_NOT_FOUND', `there is no topic ${topic}: is '${projectId}' a project?`)
  const ranges = await admin.ranges(topic)
  const committed = await admin.groupOffsets(group, topic)
  const starts = await edgesOf(admin, ranges, request.from, ({ start }) => start)
  const ends = await edgesOf(admin, ranges, request.to, ({ partition, end }) => committed.get(partition) ?? end)
  const parts = ranges.map(({ partition, start, end }): ReplayPart => {
    const to = min(ends.get(partition) ?? end, end)
    // In place a group comes back to where it stands, so nothing else can be the end.
    const stop = mode === 'in-place' ? (committed.get(partition) ?? 0n) : to
    const from = max(starts.get(partition) ?? stop, start)
    return { partition, from: from < stop ? from : stop, to: stop }
  })
  const records = countOf(parts)
  const { effect, text } = consequences[kind]
  const times = log === undefined ? undefined : await appendTimes(log, topic, parts)
  return {
    projectId,
    kind,
    group,
    topic,
    mode: effect === 'epoch' ? 'beside' : mode,
    effect,
    consequence: text,
    source: `${edgeText(request.from, 'the beginning of the log')} to ${edgeText(request.to, 'where the group is')}`,
    parts: parts.map((part) => ({ ...part, fromMs: undefined, toMs: undefined, ...times?.get(part.partition) })),
    records,
    refusals: [
      // An epoch says by itself from when on it is whole, and how many records it reads.
      ...(effect === 'epoch' ? [] : await outOfRetention(deps, request, topic, ranges)),
      ...againstGroup(request, effect, committed),
      ...againstMode(request),
      ...(effect === 'epoch' ? againstEpochEdges(request) : []),
      ...(effect === 'nothing' ? [text] : []),
      ...(effect === 'reads' && records === 0n ? ['there is no record in this range'] : []),
      ...(effect === 'epoch' ? [] : againstLimit(records, request.limit))
    ]
  }
}

async function edgesOf(
  admin: PlanDeps['admin'],
  ranges: readonly PartitionRange[],
  edge: ReplayEdge,
  all: (range: PartitionRange) => bigint
): Promise<ReadonlyMap<number, bigint>> {
  if (edge.kind === 'time') return await admin.offsetsAt(ranges[0]?.topic ?? '', edge.ms)
  if (edge.kind === 'all') return new Map(ranges.map((range) => [range.partition, all(range)]))
  if (edge.kind === 'offset') return new Map(ranges.map(({ partition }) => [partition, edge.offset]))
  const unknown = [...edge.offsets.keys()].find((partition) => ranges.every((range) => range.partition !== partition))
  if (unknown !== undefined)
    throw new AppError('PIPE_INVALID_INPUT', `${ranges[0]?.topic ?? 'the topic'} has no partition ${unknown}`)
  return edge.offsets
}

/** What lies before the log's beginning is in the archive or nowhere; a replay by offsets would silently begin later. */
async function outOfRetention(
  { admin, manifest }: PlanDeps,
  { projectId, kind, from }: ReplayRequest,
  topic: string,
  ranges: readonly PartitionRange[]
): Promise<readonly string[]> {
  const wanted = await edgesOf(admin, ranges, from, ({ start }) => start)
  const gone = ranges.filter(({ partition, start }) => {
    if (start === 0n || from.kind === 'all') return false
    const asked = wanted.get(partition)
    // By time the answer is the log's first record also when older ones are gone.
    return asked !== undefined && (from.kind === 'time' ? asked <= start : asked < start)
  })
  if (gone.length === 0) return []
  const heads = new Map((await manifest.heads(topic)).map(({ partition, position }) => [partition, position]))
  const isArchived = gone.every(({ partition, start }) => (heads.get(partition) ?? 0n) >= start)
  const where = gone.map(({ partition, start }) => `${partition} begins at ${start}`).join(', ')
  const instead = !isArchived
    ? 'the archive does not have all of it either'
    : kind === 'load'
      ? `the archive has it: \`millrace replay start --from-archive --project ${projectId}\` with this range`
      : `the archive has it: \`millrace archive cat --project ${projectId}\``
  return [
    `the log does not reach back that far (partition ${where}); ${instead}; --from-offset earliest takes what there is`
  ]
}

/** Shared by all plans: nobody reads a whole log by mistake. */
export function againstLimit(records: bigint, limit: bigint): readonly string[] {
  return records > limit ? [`${records} records are more than ${limit}; --limit ${records} if they are meant`] : []
}

/** A name that is mistyped would be a replay that nobody reads, and lock the group of another kind. */
function againstGroup(
  { kind, group }: ReplayRequest,
  effect: ReplayEffect,
  committed: ReadonlyMap<number, bigint>
): readonly string[] {
  const meant = replayKinds.find((known) => known === group && known !== kind)
  if (meant !== undefined) return [`${group} is the group of ${meant}, not of ${kind}`]
  if (effect !== 'reads' || committed.size > 0) return []
  return [`group ${group} has no position in this log: is it the one of the ${kind} workers?`]
}

function againstMode({ kind, group, mode, to }: ReplayRequest): readonly string[] {
  if (mode === 'beside') return []
  if (kind === 'aggregate' || kind === 'archive')
    return [`group ${group} does not go by its offsets, so it cannot be moved back in place`]
  return to.kind === 'all' ? [] : ['in place a group reads on to where it stood; it takes no other end']
}

/** An epoch is made of whole hours, and of everything since. */
function againstEpochEdges({ from, to }: ReplayRequest): readonly string[] {
  const isByOffset = from.kind === 'offset' || from.kind === 'offsets'
  return [
    ...(isByOffset ? ['a new epoch of the live state begins at a time, or with all that the log has'] : []),
    ...(to.kind === 'all'
      ? []
      : ['a new epoch of the live state is filled to the end of the log; it takes no other end'])
  ]
}

/** An edge for people; `all` is what an open one means. */
export function edgeText(edge: ReplayEdge, all: string): string {
  switch (edge.kind) {
    case 'offset':
      return `offset ${edge.offset}`
    case 'offsets':
      return `offsets ${[...edge.offsets].map(([partition, offset]) => `${partition}:${offset}`).join(',')}`
    case 'time':
      return new Date(edge.ms).toISOString()
    case 'all':
      return all
  }
}
