// The clocks of partitions without new events, and what hangs on them. A position that equals an end offset says that
// everything appended before the request was applied; how far clocks and replicas may lag is taken off.
import type { ApplyCall } from '@millrace/aggregation/apply'
import type { RedisApply } from '@millrace/aggregation/redis-apply'
import type { RedisClose } from '@millrace/aggregation/redis-close'
import { maxKeys } from '@millrace/aggregation/redis-close'
import type { Admin, PartitionRange } from '@millrace/kafka'
import type { Clock } from '@millrace/kernel'
import type { BoundMetrics } from '@millrace/observability'
import type { IsDue } from './due.ts'
import type { LiveProject } from './live-projects.ts'
import type { aggregatorMetrics } from './metrics.ts'

export interface ClockDeps {
  readonly admin: Pick<Admin, 'ranges' | 'describeTopics'>
  readonly apply: RedisApply
  readonly close: RedisClose
  readonly isDue: IsDue
  readonly callId: () => string
  readonly clock: Clock
  readonly metrics: BoundMetrics<typeof aggregatorMetrics>
  readonly faults: { at(label: string): void | Promise<void> }
  /** What clocks may differ by, and how old an end offset of a replicated topic may be. */
  readonly marginMs: number
  readonly replicaLagMs: number
  /** A partition count is asked for again after this time. */
  readonly countEveryMs: number
}

/** Readers see the age of a clock, so that it moves now and then though nothing waits for it. */
const longestRestMs = 10_000

/** The size of a topic: `countedAtMs` is a local time before the request, taken back by the margin. */
interface Count {
  readonly askedAtMs: number
  readonly countedAtMs: number
  readonly partitions: number
  readonly marginMs: number
}

/** Moves clocks, and lets the owner of partition 0 close and delete what is due. One per process. */
export function createClocks(deps: ClockDeps): (live: LiveProject) => Promise<void> {
  const counts = new Map<string, Count>()
  const movedAtMs = new WeakMap<LiveProject, number>()
  return async function tick(live) {
    if (live.halted !== undefined) return
    const nowMs = deps.clock.now()
    const restedMs = Math.abs(nowMs - (movedAtMs.get(live) ?? Number.NEGATIVE_INFINITY))
    if (restedMs < longestRestMs && !(await deps.isDue(live.project, live.epoch, nowMs))) return
    movedAtMs.set(live, nowMs)
    const count = await countPartitions(deps, live.topic, counts)
    const askedAtMs = deps.clock.now()
    const ranges = await deps.admin.ranges(live.topic)
    await deps.faults.at('aggregator.clock-asked')
    await Promise.all(ranges.map((range) => moveClock(deps, live, range, askedAtMs - count.marginMs)))
    if (live.owned.has(0)) await closeAndRemove(deps, live, count)
  }
}

async function countPartitions(deps: ClockDeps, topic: string, counts: Map<string, Count>): Promise<Count> {
  const { admin, clock, marginMs, replicaLagMs, countEveryMs } = deps
  const known = counts.get(topic)
  const askedAtMs = clock.now()
  if (known !== undefined && askedAtMs - known.askedAtMs < countEveryMs && askedAtMs >= known.askedAtMs) return known
  // A topic that is gone has nothing to close; its partitions are taken away with the next assignment.
  const [found] = await admin.describeTopics([topic])
  const { partitions = 0, replicationFactor = 1 } = found ?? {}
  const ownMarginMs = marginMs + (replicationFactor > 1 ? replicaLagMs : 0)
  const count = { askedAtMs, countedAtMs: askedAtMs - ownMarginMs, partitions, marginMs: ownMarginMs }
  counts.set(topic, count)
  return count
}

async function moveClock(
  { apply, callId }: ClockDeps,
  live: LiveProject,
  { partition, start, end }: PartitionRange,
  clockMs: number
): Promise<void> {
  const owned = live.owned.get(partition)
  if (owned === undefined || owned.busy) return
  const { position } = owned
  const isAtEnd = position === end
  // Retention took all that was left of the log: there is no record whose batch could pass the hole.
  const isHole = position < start && start === end
  if (!isAtEnd && !isHole) return
  const call = emptyCall(live.epoch, partition, position)
  if (isAtEnd) await apply(live.project, { ...call, clockMs }, callId())
  else await apply(live.project, { ...call, to: end, expired: Number(end - position) }, callId())
  // Another answer than ok says that position or epoch are not ours; the watch looks after both.
}

function emptyCall(epoch: number, partition: number, position: bigint): ApplyCall {
  return {
    epoch,
    partition,
    from: position,
    to: position,
    appendedAtMs: -1,
    clockMs: -1,
    hours: [],
    leftOut: [],
    windows: [],
    sessions: [],
    late: 0,
    closed: 0,
    expired: 0
  }
}

async function closeAndRemove(deps: ClockDeps, live: LiveProject, { partitions, countedAtMs }: Count): Promise<void> {
  const { close, callId, metrics, faults } = deps
  const topic = { epoch: live.epoch, partitions, countedAtMs, limit: maxKeys }
  const run = async (step: () => ReturnType<RedisClose['close']>, count: (changed: number) => void): Promise<void> => {
    for (let changed = maxKeys; changed >= maxKeys;) {
      const reply = await step()
      if (reply.kind !== 'ok') return
      changed = reply.changed
      if (changed > 0) count(changed)
    }
  }
  await run(
    () => close.close(live.project, topic, callId()),
    (changed) => metrics.closed.add(changed)
  )
  await faults.at('aggregator.after-close')
  await run(
    () => close.remove(live.project, topic),
    (changed) => metrics.deleted.add(changed)
  )
}
