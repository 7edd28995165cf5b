// The few statistics of the harness. Ratios are taken inside a round, since neighbours in time share the machine's mood.

/** Median and quartiles of a set of values. */
export interface Summary {
  readonly count: number
  readonly q1: number
  readonly median: number
  readonly q3: number
}

/** The `fraction` quantile (0 to 1) of `values` by linear interpolation between neighbours; NaN when there are none. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((left, right) => left - right)
  const position = (sorted.length - 1) * fraction
  const below = sorted[Math.floor(position)]
  const above = sorted[Math.ceil(position)]
  if (below === undefined || above === undefined) return Number.NaN
  return below + (above - below) * (position - Math.floor(position))
}

/** Median and quartiles of `values`. */
export function summarise(values: readonly number[]): Summary {
  return {
    count: values.length,
    q1: quantile(values, 0.25),
    median: quantile(values, 0.5),
    q3: quantile(values, 0.75)
  }
}

/**
 * `value` divided by `reference`, round by round; both have one entry per round, in order. Throws RangeError when the
 * rounds do not match.
 */
export function ratios(value: readonly number[], reference: readonly number[]): readonly number[] {
  if (value.length !== reference.length) throw new RangeError(`${value.length} rounds against ${reference.length}`)
  return value.map((each, round) => each / (reference[round] ?? Number.NaN))
}

/** `items` in an order that `random` ([0, 1)) decides. */
export function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  const order = items.map((item) => ({ item, rank: random() }))
  return order.toSorted((left, right) => left.rank - right.rank).map(({ item }) => item)
}
