// From a completed join to the first fetch. Until the start positions are known every partition of the assignment is
// paused, so heartbeats go on while a sink is asked for its position, however long that takes.
import { createGroupEpoch } from './group-epoch.ts'
import type { EpochIdentity, GroupEpoch } from './group-epoch.ts'
import type { LogView } from './group-offsets.ts'
import { partitionKey } from './port.ts'
import type { GroupOptions } from './port.ts'
import { moveTo, readViews, reportOutOfRange } from './session-context.ts'
import type { SessionContext } from './session-context.ts'

/** Makes `identity` the current epoch and starts it in the background. */
export function beginEpoch(context: SessionContext, identity: EpochIdentity): void {
  const { state, fetcher, fail } = context
  if (state.closed) return
  const epoch = createGroupEpoch(identity)
  state.current = epoch
  for (const { topic, partition } of epoch.assignment) fetcher.pause([{ topic, partitions: [partition] }])
  startEpoch(context, epoch).catch(fail)
}

async function startEpoch(context: SessionContext, epoch: GroupEpoch): Promise<void> {
  const { state, handlers, calls, fetcher, options } = context
  const [views, starts] = await Promise.all([
    readViews(context, epoch, epoch.assignment),
    calls.run(() => {
      if (state.current !== epoch || state.closed) return undefined
      state.delivered = epoch
      return handlers.onAssigned(epoch.assignment)
    })
  ])
  if (views === undefined || starts === undefined || state.current !== epoch || epoch.state() !== 'starting') return
  const positions = new Map<string, bigint>()
  for (const partition of epoch.assignment) {
    const key = partitionKey(partition)
    const view = views.get(key)
    if (view === undefined) continue
    const wanted = epoch.position(partition) ?? starts.get(key) ?? startOf(view, options)
    if (wanted < view.start) reportOutOfRange(context, epoch, partition, wanted, view.start)
    positions.set(key, wanted < view.start ? view.start : wanted)
  }
  epoch.start()
  for (const partition of epoch.assignment) {
    const position = positions.get(partitionKey(partition))
    if (position === undefined) continue
    moveTo(context, epoch, partition, position)
    // A pause set before this assignment means nothing now; one that the handlers asked for meanwhile stands.
    if (!epoch.isPaused(partition)) fetcher.resume([{ topic: partition.topic, partitions: [partition.partition] }])
  }
}

function startOf({ committed, start, end }: LogView, { fallback }: GroupOptions): bigint {
  if (committed !== undefined) return committed
  return fallback === 'earliest' ? start : end
}
