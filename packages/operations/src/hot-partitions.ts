// The rule that tells a partition in trouble from the saw-teeth of ordinary work. "More than twice the average" alone can
// never fire with two partitions and always fires on a quiet topic, so a partition is compared with the others, and floors
// of records and of time hold besides. Pure.

/** What one sample says of a partition as one group reads it. */
export interface JudgedPartition {
  /** Records behind. */
  readonly records: number
  /** Age of the next record; 0 without one. */
  readonly seconds: number
  /** Records per second that the group takes from it. */
  readonly consumeRate: number
}

export interface HotRule {
  readonly minRecords: number
  /** Seconds of its own consume rate that count as much as `minRecords`. */
  readonly rateSeconds: number
  readonly minSeconds: number
  /** Times the mean of the others. */
  readonly factor: number
  /** Samples that are looked back on; at most 31. */
  readonly samples: number
  /** Share of them in which it must hold. */
  readonly share: number
}

/** Five minutes of samples ten seconds apart. */
export const hotRule: HotRule = {
  minRecords: 5_000,
  rateSeconds: 30,
  minSeconds: 60,
  factor: 2,
  samples: 30,
  share: 0.8
}

/** `behind`: past the floors. `hot`: and far behind the other partitions of its topic. */
export type PartitionState = 'fine' | 'behind' | 'hot'

/**
 * Judges the partitions of one topic in one sample. Where the others have no lag at all the floors decide. `heldSeconds`
 * is what the sink keeps by design before it takes effect: an archiver that closes a file every hour is not late.
 */
export function judgeSample(
  partitions: readonly JudgedPartition[],
  rule: HotRule = hotRule,
  heldSeconds = 0
): readonly PartitionState[] {
  const total = partitions.reduce((sum, { records }) => sum + records, 0)
  return partitions.map(({ records, seconds, consumeRate }) => {
    const floor = Math.max(rule.minRecords, rule.rateSeconds * consumeRate)
    if (records < floor || seconds <= rule.minSeconds + heldSeconds) return 'fine'
    if (partitions.length === 1) return 'behind'
    const others = (total - records) / (partitions.length - 1)
    return others === 0 || records > rule.factor * others ? 'hot' : 'behind'
  })
}

/** The last samples of one partition, a bit each, the youngest lowest. */
export interface Streak {
  readonly behind: number
  readonly hot: number
}

export const noStreak: Streak = { behind: 0, hot: 0 }

/** `streak` with one more sample, after `missed` samples that could not be taken and count as fine. */
export function withSample({ behind, hot }: Streak, state: PartitionState, missed = 0, rule = hotRule): Streak {
  const mask = 2 ** rule.samples - 1
  const shifted = (bits: number, bit: boolean): number => {
    const aged = missed >= rule.samples ? 0 : (bits << missed) & mask
    return ((aged << 1) & mask) | (bit ? 1 : 0)
  }
  return { behind: shifted(behind, state !== 'fine'), hot: shifted(hot, state === 'hot') }
}

/** What the samples together say: a state that held in the share of them which the rule asks for. */
export function stateOf({ behind, hot }: Streak, rule: HotRule = hotRule): PartitionState {
  const needed = Math.ceil(rule.samples * rule.share)
  if (ones(hot) >= needed) return 'hot'
  return ones(behind) >= needed ? 'behind' : 'fine'
}

/** Whether none of the last `samples` was behind: what was raised may be taken back. */
export function isCalm({ behind }: Streak, samples = 6): boolean {
  return (behind & (2 ** samples - 1)) === 0
}

function ones(bits: number): number {
  let count = 0
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++
  return count
}
