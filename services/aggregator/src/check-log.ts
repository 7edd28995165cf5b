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
  const asked = new Map<number, Promise<ReadonlyMap<number, bigint>>>()
  const first = async (partition: number, timeMs: number): Promise<bigint | undefined> => {
    const asking = asked.get(timeMs) ?? admin.offsetsAt(topic, timeMs)
    asked.set(timeMs, asking)
    return (await asking).get(partition)
  }
  const check = async ([partition, state]: readonly [number, PartitionState]): Promise<[number, CheckedPartition]> => {
    const range = ranges.get(partition) ?? { topic, partition, start: 0n, end: 0n }
    const ask = (timeMs: number): Promise<bigint | undefined> => first(partition, timeMs)
    const appendedBeforeMs = isComparable(state, range) ? await appendedBefore(state, range, ask) : undefined
    return [partition, { verdict: compareLog(state, { ...range, appendedBeforeMs }), range }]
  }
  return new Map(await Promise.all([...states].map(check)))
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
async function appendedBefore(
  { position, appendedAtMs }: PartitionState,
  { start }: PartitionRange,
  firstSince: (timeMs: number) => Promise<bigint | undefined>
): Promise<number | undefined> {
  const since = await firstSince(appendedAtMs)
  if (since === undefined) return undefined
  if (since >= position) return another
  if (since > start) return appendedAtMs
  const after = await firstSince(appendedAtMs + 1)
  return after !== undefined && after <= start ? another : appendedAtMs
}
