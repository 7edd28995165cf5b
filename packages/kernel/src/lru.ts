// A bounded memory of values that can be made again. A Map keeps its keys in the order in which they were set, so the
// key that was used longest ago comes first.

export interface Lru<K, V> {
  /** The value of `key`, which counts as a use. */
  get(key: K): V | undefined
  /** Keeps `value`; beyond the limit the key that was used longest ago goes. */
  set(key: K, value: V): void
  size(): number
}

/** An empty memory of at most `limit` keys (at least 1). Values are never undefined. */
export function createLru<K, V extends NonNullable<unknown>>(limit: number): Lru<K, V> {
  const values = new Map<K, V>()
  return {
    get(key) {
      const value = values.get(key)
      if (value === undefined) return undefined
      values.delete(key)
      values.set(key, value)
      return value
    },
    set(key, value) {
      values.delete(key)
      values.set(key, value)
      if (values.size <= limit) return
      const { value: oldest, done } = values.keys().next()
      if (done !== true) values.delete(oldest)
    },
    size: () => values.size
  }
}
