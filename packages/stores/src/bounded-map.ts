// A map that forgets what was not used for long. It keeps two generations: what is used moves into the young one, and when
// that is half of the bound, the old one is dropped and the young one takes its place. Moving each entry at each use, as
// exact order would need, makes a Map build its table anew every few dozen reads.

export interface BoundedMap<K, V> {
  get(key: K): V | undefined
  set(key: K, value: V): void
  delete(key: K): void
  readonly size: number
}

/**
 * A BoundedMap of at most `maxEntries` (2 or more) that holds at least the half of it that was used last; reading and
 * writing an entry both count as use.
 */
export function createBoundedMap<K, V>(maxEntries: number): BoundedMap<K, V> {
  const generation = Math.max(1, Math.floor(maxEntries / 2))
  let young = new Map<K, V>()
  let old = new Map<K, V>()
  const keep = (key: K, value: V): void => {
    if (young.size >= generation && !young.has(key)) {
      old = young
      young = new Map()
    }
    young.set(key, value)
    old.delete(key)
  }
  return {
    get: (key) => {
      const value = young.get(key)
      if (value !== undefined || old.size === 0) return value
      const kept = old.get(key)
      if (kept !== undefined) keep(key, kept)
      return kept
    },
    set: keep,
    delete: (key) => {
      young.delete(key)
      old.delete(key)
    },
    get size() {
      return young.size + old.size
    }
  }
}
