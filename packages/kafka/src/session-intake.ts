// Takes fetched batches in and hands them over. A batch counts only when it was fetched from where the epoch stands.
import type { Batch, EachBatchPayload } from 'kafkajs'
import { breathe } from '@millrace/kernel'
import type { GroupEpoch } from './group-epoch.ts'
import { partitionKey } from './port.ts'
import type { TopicPartition } from './port.ts'
import { fetchedAt, nextOffset, toRecordBatch } from './record-batch.ts'
import { moveTo, readViews, reportOutOfRange } from './session-context.ts'
import type { SessionContext } from './session-context.ts'

/** The library's batch handler; it never throws. `closing` ends its wait for a handler that is stuck. */
export function createIntake(
  context: SessionContext,
  closing: Promise<void>
): (fetched: EachBatchPayload) => Promise<void> {
  const { state, handlers, calls, fail } = context
  const probed = new WeakMap<GroupEpoch, Map<string, bigint>>()
  const hand = async (epoch: GroupEpoch, batch: Batch, moves: number): Promise<void> => {
    await breathe()
    if (state.current !== epoch || epoch.state() !== 'active') return
    // A handler that moved the position meanwhile gets everything from there; this batch would look like a hole before it.
    if (epoch.moves(batch) === moves) await handlers.onBatch(toRecordBatch(batch))
  }
  return async ({ batch, resolveOffset, isStale, isRunning }) => {
    const epoch = state.current
    const partition = { topic: batch.topic, partition: batch.partition }
    if (epoch === undefined || epoch.state() !== 'active' || epoch.isPaused(partition)) return
    if (!isRunning() || isStale()) return
    if (epoch.take(partition, fetchedAt(batch), nextOffset(batch))) {
      // In the same turn as `take`: after a rejoin the library would apply it to the next assignment.
      resolveOffset(batch.lastOffset())
      const moves = epoch.moves(partition)
      await Promise.race([calls.run(() => hand(epoch, batch, moves)).catch(fail), closing])
      return
    }
    const probes = probed.get(epoch) ?? new Map<string, bigint>()
    probed.set(epoch, probes)
    await reconcile(context, epoch, partition, fetchedAt(batch), probes).catch(fail)
  }
}

/**
 * A batch came from another position than ours: an old one in flight, a jump of the library after OFFSET_OUT_OF_RANGE,
 * or records that readers never see. The log's range tells them apart; when in doubt the position is fetched again, and
 * a second jump to the same place is a hole.
 */
async function reconcile(
  context: SessionContext,
  epoch: GroupEpoch,
  partition: TopicPartition,
  fetched: bigint,
  probes: Map<string, bigint>
): Promise<void> {
  const key = partitionKey(partition)
  const view = (await readViews(context, epoch, [partition]))?.get(key)
  const expected = epoch.position(partition)
  if (view === undefined || expected === undefined || expected === fetched) return
  if (context.state.current !== epoch || epoch.state() !== 'active') return
  if (expected < view.start || expected > view.end) {
    reportOutOfRange(context, epoch, partition, expected, view.start)
    moveTo(context, epoch, partition, view.start)
  } else if (fetched > expected && probes.get(key) === expected) {
    moveTo(context, epoch, partition, fetched)
  } else {
    probes.set(key, expected)
    moveTo(context, epoch, partition, expected)
  }
}
