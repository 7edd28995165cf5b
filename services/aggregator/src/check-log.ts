// Whether the log of a partition is the one that its position was taken in, asked of the broker by time: the record
// before the position was appended at the time that is stored with it, or it is another log.
import { compareLog } from '@millrace/aggregation/log-identity'
import type { LogVerdict } from '@millrace/aggregation/log-identity'
import type { PartitionState } from '@millrace/aggregation/state'
import type { Admin, PartitionRange } from '@millrace/kafka'
import { AppError } from '@millrace/kernel'

export type LogAdmin = Pick<Admin, 'ranges' | 'offsetsAt'>

/** A partition of a log against what Redis holds of it. */
export interface CheckedPartition {
  readonly verdict: LogVerdict
  readonly range: PartitionRange
}

/** Compares stored positions with the log of `topic`, by partition. Throws PIPE_KAFKA_UNAVAILABLE. */
export async function checkLog(
  admin: LogAdmin,
  topic: string,
  states: ReadonlyMap<number, PartitionState>
): Promise<ReadonlyMap<number, CheckedPartition>> {
  const ranges = new Map((await rangesOf(admin, topic)).map((range) => [range.partition, range]))
  const times = new Set<number>()
  for (const [partition, state] of states) {
    const range = ranges.get(partition)
    if (range !== undefined && isComparable(state, range)) times.add(state.appendedAtMs).add(state.appendedAtMs + 1)
  }
  const found = new Map(
    await Promise.all(
      [...times].map(async (timeMs): Promise<[number, ReadonlyMap<number, bigint>]> => [
        timeMs,
        await admin.offsetsAt(topic, timeMs)
      ])
    )
  )
  const checked = new Map<number, CheckedPartition>()
  for (const [partition, state] of states) {
    const range = ranges.get(partition) ?? { topic, partition, start: 0n, end: 0n }
    const since = found.get(state.appendedAtMs)?.get(partition)
    const after = found.get(state.appendedAtMs + 1)?.get(partition)
    const appendedBeforeMs = isComparable(state, range) ? appendedBefore(state, range, since, after) : undefined
    checked.set(partition, { verdict: compareLog(state, { ...range, appendedBeforeMs }), range })
  }
  return checked
}

/** A topic that is gone is an empty log. */
async function rangesOf(admin: LogAdmin, topic: string): Promise<readonly PartitionRange[]> {
  try {
    return await admin.ranges(topic)
  } catch (error) {
    if (error instanceof AppError && error.code === 'PIPE_TOPIC_MISSING') return []
    throw error
  }
}

function isComparable({ position, appendedAtMs }: PartitionState, { start, end }: PartitionRange): boolean {
  return appendedAtMs >= 0 && position > start && position <= end
}

/** No time of a record: the one before the position has another than the stored one. */
const another = -1

/**
 * The first record at or after the stored time lies before the position, unless the log is another one: then either
 * none does, or all records of the log are younger. Clocks of brokers that went back in between say nothing.
 */
function appendedBefore(
  { position, appendedAtMs }: PartitionState,
  { start }: PartitionRange,
  since: bigint | undefined,
  after: bigint | undefined
): number | undefined {
  if (since === undefined || after === undefined) return undefined
  return since >= position || after <= start ? another : appendedAtMs
}
