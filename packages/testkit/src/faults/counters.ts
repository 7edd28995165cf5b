// Sometimes-counters: what a fault case says must happen at least once. A case whose fault never bit proves nothing,
// so it fails.

export interface Counters {
  /** Counts that it happened; `name` must be declared. */
  count(name: string, times?: number): void
  values(): Readonly<Record<string, number>>
  /** Declared names that are still at zero. */
  missing(): readonly string[]
}

/** Counters for the declared names, all zero. */
export function createCounters(declared: readonly string[]): Counters {
  const values = new Map(declared.map((name) => [name, 0]))
  return {
    count(name, times = 1) {
      const value = values.get(name)
      if (value === undefined) throw new RangeError(`the case does not declare the counter '${name}'`)
      values.set(name, value + times)
    },
    values: () => Object.fromEntries(values),
    missing: () => [...values].filter(([, value]) => value === 0).map(([name]) => name)
  }
}
