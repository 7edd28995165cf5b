// Which part of a topic is compared.
import type { Admin } from '@millrace/kafka'
import type { ReplayPart } from './replay-rows.ts'

export interface RangeWanted {
  readonly topic: string
  readonly loadGroup: string
  /** Broker time. */
  readonly fromMs: number | undefined
  readonly toMs: number | undefined
  /** Records at most. */
  readonly most: number
}

export interface Range {
  readonly parts: readonly ReplayPart[]
  /** Records that the loaders have not come to. */
  readonly pending: bigint
  /** The oldest records, which are left out since there are more than `most`. */
  readonly cut: bigint
}

/** Up to where the loaders have been: what lies behind waits. Throws PIPE_KAFKA_UNAVAILABLE. */
export async function rangeOf(
  admin: Pick<Admin, 'ranges' | 'offsetsAt' | 'groupOffsets'>,
  { topic, loadGroup, fromMs, toMs, most }: RangeWanted
): Promise<Range> {
  const committed = await admin.groupOffsets(loadGroup, topic)
  const ranges = await admin.ranges(topic)
  const starts = fromMs === undefined ? new Map<number, bigint>() : await admin.offsetsAt(topic, fromMs)
  const ends = toMs === undefined ? new Map<number, bigint>() : await admin.offsetsAt(topic, toMs)
  let pending = 0n
  const parts = ranges.map(({ partition, start, end }): ReplayPart => {
    const from = max(start, starts.get(partition) ?? start)
    const until = max(from, ends.get(partition) ?? end)
    const to = max(from, min(until, committed.get(partition) ?? from))
    pending += until - to
    return { partition, from, to }
  })
  const newest = newestOf(parts, most)
  return { parts: newest, pending, cut: countOf(parts) - countOf(newest) }
}

/** How many records `parts` have room for. */
export function countOf(parts: readonly ReplayPart[]): bigint {
  return parts.reduce((sum, { from, to }) => sum + to - from, 0n)
}

/** The same share of each partition, so that they reach back about equally far. */
function newestOf(parts: readonly ReplayPart[], most: number): readonly ReplayPart[] {
  const total = countOf(parts)
  if (total <= most) return parts
  const kept = BigInt(Math.floor(most))
  return parts.map(({ partition, from, to }) => ({ partition, from: to - ((to - from) * kept) / total, to }))
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
