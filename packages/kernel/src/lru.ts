// A bounded memory of values that can be made again, in two generations: what was used since the last turn is in the
// younger one, and the older one is dropped as a whole when that is full. A use costs one look-up, no bookkeeping.

export interface Lru<K, V> {
  /** The value of `key`, which counts as a use. */
  get(key: K): V | undefined
  /** Keeps `value` of a key that is not kept. */
  set(key: K, value: V): void
  size(): number
}

/**
 * An empty memory of at most `limit` keys (at least 2). A key is kept at least until half as many others were used or
 * set after it. Values are never undefined.
 */
export function createLru<K, V extends object | string | number | boolean>(limit: number): Lru<K, V> {
  const half = Math.max(1, limit >> 1)
  let young = new Map<K, V>()
  let old = new Map<K, V>()
  const keep = (key: K, value: V): void => {
    if (young.size >= half) {
      old = young
      young = new Map()
    }
    young.set(key, value)
  }
  return {
    get(key) {
      const value = young.get(key)
      if (value !== undefined) return value
      const older = old.get(key)
      if (older === undefined) return undefined
      old.delete(key)
      keep(key, older)
      return older
    },
    set: keep,
    size: () => young.size + old.size
  }
}
