// Where an epoch begins: how far back the log is read, and from when on its windows are whole.
import { startAfterLoss } from '@millrace/aggregation/start-after-loss'
import type { EpochStart } from '@millrace/aggregation/redis-epochs'
import type { Timing } from '@millrace/aggregation/timing'
import type { Admin, PartitionRange } from '@millrace/kafka'
import { max } from './offsets.ts'

export type StartAdmin = Pick<Admin, 'ranges' | 'offsetsAt' | 'groupOffsets'>

const hourMs = 3_600_000

/**
 * Where to begin after the state was lost: early enough that all is read that `group` had not committed, and that the
 * first full hour is whole. Throws PIPE_KAFKA_UNAVAILABLE, PIPE_TOPIC_MISSING.
 */
export async function startOfLost(
  admin: StartAdmin,
  { topic, group, nowMs, timing }: { topic: string; group: string; nowMs: number; timing: Timing }
): Promise<EpochStart> {
  const ranges = await admin.ranges(topic)
  const committed = await admin.groupOffsets(group, topic)
  // Nobody has committed anything, and nothing of the log is gone: all of it is to be read.
  const isUnread = committed.size === 0 && ranges.every(({ start }) => start === 0n)
  if (isUnread) return { startOffsets: ranges.map(() => 0n), completeFromMs: 0 }
  const isCommittedBefore = async (timeMs: number): Promise<boolean> => {
    const offsets = await admin.offsetsAt(topic, timeMs)
    return ranges.every(({ partition, start }) => {
      const commit = committed.get(partition)
      return commit === undefined || (offsets.get(partition) ?? start) <= max(commit, start)
    })
  }
  // The hour of the oldest record that is not committed, found by halving: appended times rise along the log.
  let known = 0
  let unknown = Math.floor(nowMs / hourMs) + 1
  while (unknown - known > 1) {
    const middle = Math.floor((known + unknown) / 2)
    if (await isCommittedBefore(middle * hourMs)) known = middle
    else unknown = middle
  }
  const { fromMs, completeFromMs } = startAfterLoss(Math.min(nowMs, (known + 1) * hourMs - 1), [], timing)
  return { startOffsets: toOffsets(ranges, await admin.offsetsAt(topic, fromMs)), completeFromMs }
}

/** Where a rebuild begins, and whether the log reaches back as far as was asked for. */
export interface RebuildStart extends EpochStart {
  /** What was asked for. */
  readonly wantedFromMs: number
  /** Records from `startOffsets` to the ends. */
  readonly records: bigint
}

/**
 * The start of a rebuild whose windows are whole from the full hour `wantedFromMs` on, or from the first hour that the
 * log still holds. Throws PIPE_KAFKA_UNAVAILABLE, PIPE_TOPIC_MISSING.
 */
export async function startOfRebuild(
  admin: StartAdmin,
  { topic, wantedFromMs, nowMs, timing }: { topic: string; wantedFromMs: number; nowMs: number; timing: Timing }
): Promise<RebuildStart> {
  const ranges = await admin.ranges(topic)
  const reaches = async (fullHourMs: number): Promise<boolean> => {
    const offsets = await admin.offsetsAt(topic, fullHourMs - timing.latenessMs)
    // A record from before is still there, or there never was one.
    return ranges.every(({ partition, start }) => start === 0n || (offsets.get(partition) ?? start) > start)
  }
  let hour = Math.ceil(wantedFromMs / hourMs)
  if (!(await reaches(hour * hourMs))) {
    let reached = Math.ceil((nowMs + timing.latenessMs) / hourMs) + 1
    while (reached - hour > 1) {
      const middle = Math.floor((hour + reached) / 2)
      if (await reaches(middle * hourMs)) reached = middle
      else hour = middle
    }
    hour = reached
  }
  const completeFromMs = hour * hourMs
  const startOffsets = toOffsets(ranges, await admin.offsetsAt(topic, completeFromMs - timing.latenessMs))
  const records = ranges.reduce((sum, { partition, end }) => sum + max(0n, end - (startOffsets[partition] ?? 0n)), 0n)
  return { startOffsets, completeFromMs, wantedFromMs, records }
}

/** The full hour from which on everything that is held live is whole: the day that the oldest kept hour lies in. */
export function oldestLiveMs(nowMs: number): number {
  const kept = nowMs - 26 * hourMs
  return kept - (kept % (24 * hourMs))
}

function toOffsets(ranges: readonly PartitionRange[], offsets: ReadonlyMap<number, bigint>): readonly bigint[] {
  const length = Math.max(0, ...ranges.map(({ partition }) => partition + 1))
  const starts = new Map(ranges.map(({ partition, start }) => [partition, start]))
  return Array.from({ length }, (_, partition) => max(starts.get(partition) ?? 0n, offsets.get(partition) ?? 0n))
}
