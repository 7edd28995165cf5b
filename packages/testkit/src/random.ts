// Seeded randomness: a failing run prints its seed and is repeated with it.

/** Numbers in [0, 1) that depend on the seed alone. */
export interface Random {
  (): number
  /** A whole number in [0, below). */
  below(below: number): number
  /** One of `values`; throws on an empty list. */
  pick<T>(values: readonly T[]): T
  /** True with probability `share` (0 to 1). */
  chance(share: number): boolean
}

/** A generator seeded with any number or text (mulberry32 over an FNV-1a hash). */
export function createRandom(seed: number | string): Random {
  let state = fnv1a(String(seed))
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  return Object.assign(next, {
    below,
    pick: <T>(values: readonly T[]): T => {
      if (values.length === 0) throw new RangeError('nothing to pick from')
      // The index is below the length, so the value exists.
      return values[below(values.length)] as T
    },
    chance: (share: number) => next() < share
  })
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash
}
