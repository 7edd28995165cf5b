// What a rebuild of the warehouse has to read: the files of the archive, and the log from where they end up to a goal
// that is fixed when the rebuild begins.
import { projectOfTopic, rawTopicsOf } from '@millrace/contracts'
import { partitionKey } from '@millrace/kafka'
import type { Admin, PartitionRange } from '@millrace/kafka'
import { isSameLog } from '@millrace/stores/archive-log'
import type { ArchiveFile, ArchiveHead, ArchiveManifest } from '@millrace/stores/archive-manifest'
import { expiredParts } from './expired-parts.ts'
import { countOf } from './offsets.ts'
import type { LogPart } from './read-log.ts'

/** The log as far as a plan asks it. */
export type PlanAdmin = Pick<Admin, 'listTopics' | 'ranges' | 'offsetsAt'>

export interface PlanDeps {
  readonly manifest: Pick<ArchiveManifest, 'allHeads' | 'files' | 'holes'>
  /** Undefined: the archive alone. */
  readonly admin: PlanAdmin | undefined
}

/** Where the log ended when the rebuild began, by topic and partition: nothing behind it is read. */
export type Goal = ReadonlyMap<string, ReadonlyMap<number, bigint>>

export interface WarehousePlan {
  readonly projects: readonly string[]
  /** In the order of topic, partition, epoch and offset. */
  readonly files: readonly ArchiveFile[]
  /** What the log has behind the files. */
  readonly tails: readonly LogPart[]
  /** Offsets that are in no file and not in the log any more, also those that the archiver came too late for. */
  readonly gone: readonly LogPart[]
  /** Where the files of the log that exists now end, by partition key. */
  readonly archivedTo: ReadonlyMap<string, bigint>
}

/** The ends of the raw topics of `projects` (none named: all) now; empty without a log. Throws PIPE_KAFKA_UNAVAILABLE. */
export async function goalOf(admin: PlanAdmin | undefined, projects: readonly string[]): Promise<Goal> {
  if (admin === undefined) return new Map()
  const topics = (await admin.listTopics()).filter(rawTopicsOf(projects)).toSorted()
  const goal = new Map<string, ReadonlyMap<number, bigint>>()
  for (const topic of topics)
    goal.set(topic, new Map((await admin.ranges(topic)).map(({ partition, end }) => [partition, end])))
  return goal
}

/** Records in the files and at most that many in the log. */
export function recordsOf({ files, tails }: Pick<WarehousePlan, 'files' | 'tails'>): number {
  const archived = files.reduce((sum, { rows }) => sum + rows, 0)
  return archived + Number(countOf(tails))
}

/**
 * What there is to read up to `goal`. Files of older logs under the same name belong to it too. Throws
 * PIPE_POSTGRES_UNAVAILABLE, PIPE_KAFKA_UNAVAILABLE.
 */
export async function planWarehouse(
  { manifest, admin }: PlanDeps,
  projects: readonly string[],
  goal: Goal
): Promise<WarehousePlan> {
  const belongs = rawTopicsOf(projects)
  // Heads before files: a file that is claimed in between is read twice, from the archive and from the log, never missed.
  const heads = (await manifest.allHeads({})).filter(({ topic }) => belongs(topic))
  const newest = new Map(heads.map((head) => [partitionKey(head), head]))
  const files = (await manifest.files({})).filter(({ topic }) => belongs(topic))
  const tails: LogPart[] = []
  const gone: LogPart[] = []
  const ends = new Map<string, bigint>()
  const archivedTo = new Map<string, bigint>()
  for (const { range, end } of await rangesOf(admin, goal)) {
    const { topic, partition, start } = range
    const head = newest.get(partitionKey(range))
    const isArchived = admin !== undefined && head !== undefined && (await isSameLog(admin, head, range))
    const from = isArchived ? head.position : 0n
    if (isArchived) ends.set(logKey(head), end)
    archivedTo.set(partitionKey(range), from)
    if (start > from) gone.push({ topic, partition, from, to: start })
    const first = start > from ? start : from
    if (end > first) tails.push({ topic, partition, from: first, to: end })
  }
  for (const head of heads)
    for (const expired of await expiredParts(manifest, head))
      if (expired.from < (ends.get(logKey(head)) ?? expired.to)) gone.push(expired)
  const topics = [...goal.keys(), ...heads.map(({ topic }) => topic)]
  return {
    projects: [...new Set(topics.map((topic) => projectOfTopic(topic) ?? topic))].toSorted(),
    // What was archived after the rebuild began lies behind the goal.
    files: files.filter((file) => file.first < (ends.get(logKey(file)) ?? file.first + 1n)),
    tails,
    gone,
    archivedTo
  }
}

/** The partitions of the goal as they are now, which is after the heads were read: no head of theirs is beyond them. */
async function rangesOf(
  admin: PlanAdmin | undefined,
  goal: Goal
): Promise<readonly { readonly range: PartitionRange; readonly end: bigint }[]> {
  const found: { range: PartitionRange; end: bigint }[] = []
  for (const [topic, ends] of admin === undefined ? [] : goal)
    for (const range of (await admin?.ranges(topic)) ?? [])
      found.push({ range, end: ends.get(range.partition) ?? range.start })
  return found
}

function logKey({ topic, partition, epoch }: Pick<ArchiveHead, 'topic' | 'partition' | 'epoch'>): string {
  return `${topic}:${partition}:${epoch}`
}
