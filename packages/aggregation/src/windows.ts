// Windows: one value of one metric over one span of time, split by dimension. Adding deltas is commutative and
// associative in every member, except that beyond the cap of dimensions it depends on order which ones are kept apart.

/** One dimension of a window. Sums are scaled integers; minimum and maximum are undefined for other metrics. */
export interface ValueState {
  /** Events folded in: the value of a count, the denominator of a ratio. */
  readonly count: number
  readonly sum: bigint
  readonly min: number | undefined
  readonly max: number | undefined
  /** Distinct members; Redis keeps a HyperLogLog of them. */
  readonly members: ReadonlySet<string>
}

export interface WindowState {
  readonly startMs: number
  /** It closes when the project's clock reaches this. */
  readonly closeAtMs: number
  /** It is deleted when the clock reaches this, it is closed, and that was emitted. */
  readonly deleteAtMs: number
  /** Events folded in, all dimensions together. */
  readonly events: number
  readonly closed: boolean
  /** Dimensions beyond the cap are in `otherDimension`: from then on only the total is exact. */
  readonly capped: boolean
  /** By dimension; `totalDimension` is always there. */
  readonly values: ReadonlyMap<string, ValueState>
}

/** What a batch adds to one dimension. */
export interface ValueDelta {
  readonly dimension: string
  readonly count: number
  readonly sum: bigint
  readonly min?: number | undefined
  readonly max?: number | undefined
  readonly members?: readonly string[]
}

/** What a batch adds to one window. */
export interface WindowDelta {
  /** `<metric>:<granularity>:<start>`. */
  readonly name: string
  readonly startMs: number
  readonly closeAtMs: number
  readonly deleteAtMs: number
  readonly events: number
  /** Dimensions that are kept apart. */
  readonly cap: number
  readonly values: readonly ValueDelta[]
}

/** All dimensions together. */
export const totalDimension = ''
/** Those beyond the cap. A real dimension is the text of a JSON array, so it is neither of the two. */
export const otherDimension = '*'

/** `held` with `delta` added; a window that was never written is undefined. */
export function addToWindow(held: WindowState | undefined, delta: WindowDelta): WindowState {
  const values = new Map(held?.values)
  let apart = [...values.keys()].filter(isApart).length
  let capped = held?.capped ?? false
  for (const value of delta.values) {
    const isNew = isApart(value.dimension) && !values.has(value.dimension)
    const over = isNew && apart >= delta.cap
    if (isNew && !over) apart++
    capped ||= over
    const dimension = over ? otherDimension : value.dimension
    values.set(dimension, addValue(values.get(dimension), value))
  }
  return {
    startMs: delta.startMs,
    closeAtMs: delta.closeAtMs,
    deleteAtMs: delta.deleteAtMs,
    events: (held?.events ?? 0) + delta.events,
    closed: held?.closed ?? false,
    capped,
    values
  }
}

/**
 * Orders the values of one window inside an epoch. Applied sets only grow towards one final set, so the number of events
 * orders them across rollbacks too, where a sum of positions would let a lost prefix outrank the final value.
 */
export function revisionOf({ events, closed }: { readonly events: number; readonly closed: boolean }): number {
  return 2 * events + (closed ? 1 : 0)
}

function addValue(held: ValueState | undefined, delta: ValueDelta): ValueState {
  const members = new Set(held?.members)
  for (const member of delta.members ?? []) members.add(member)
  return {
    count: (held?.count ?? 0) + delta.count,
    sum: (held?.sum ?? 0n) + delta.sum,
    min: outermost(Math.min, held?.min, delta.min),
    max: outermost(Math.max, held?.max, delta.max),
    members
  }
}

function isApart(dimension: string): boolean {
  return dimension !== totalDimension && dimension !== otherDimension
}

function outermost(of: typeof Math.min, a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b
  return b === undefined ? a : of(a, b)
}
