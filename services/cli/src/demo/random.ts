// Random numbers that a seed decides: the same seed gives the same shop on every machine.

/** A stream of random choices. */
export interface Random {
  /** [0, 1) */
  fraction(): number
  /** An integer of [0, `limit`). */
  below(limit: number): number
  /** true with the given probability. */
  chance(probability: number): boolean
  /** One of `items`, which must not be empty. */
  pick<T>(items: readonly T[]): T
  /** One of `items` by its weight. */
  pickWeighted<T extends { readonly weight: number }>(items: readonly T[]): T
}

/** A stream for `seed` (32 bits are used): a Weyl sequence through the finalizer of MurmurHash3. */
export function createRandom(seed: number): Random {
  let state = seed | 0
  const fraction = (): number => {
    state = (state + 0x9e3779b9) | 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x85ebca6b)
    mixed ^= mixed >>> 13
    mixed = Math.imul(mixed, 0xc2b2ae35)
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32
  }
  const below = (limit: number): number => Math.floor(fraction() * limit)
  return {
    fraction,
    below,
    chance: (probability) => fraction() < probability,
    // The index is below the length, so the item exists.
    pick: <T>(items: readonly T[]) => items[below(items.length)] as T,
    pickWeighted<T extends { readonly weight: number }>(items: readonly T[]): T {
      let rest = fraction() * items.reduce((sum, { weight }) => sum + weight, 0)
      for (const item of items) {
        rest -= item.weight
        if (rest < 0) return item
      }
      return items.at(-1) as T
    }
  }
}
